package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.device.GridSearch.Measure;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Linears that are solved together have the bits that each has alone: every step of a solve, in stacks of three. */
abstract class StackContract extends SolveContract {
    private static final int MEMBERS = 3;
    private static final int GROUPS = 4;
    private static final CodeValues NUMBERS = new CodeValues(null, 0, 15);
    private static final StoredScale HALVES = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);

    /** What a step gives for members of a stack. */
    private interface Step {
        /** @param members one alone, or all */
        List<Matrix> results(List<Integer> members);
    }

    private static int[] all() {
        return IntStream.range(0, MEMBERS).toArray();
    }

    /** Of each result, that each member has the same rows alone. */
    private void assertSame(Step step) {
        List<Matrix> together = step.results(Arrays.stream(all()).boxed().toList());
        for (int member : all()) {
            List<Matrix> alone = step.results(List.of(member));
            for (int i = 0; i < alone.size(); i++) {
                float[] stack = together.get(i).values();
                int length = stack.length / MEMBERS;
                assertThat(Arrays.copyOfRange(stack, member * length, (member + 1) * length))
                        .as("result %d of member %d", i, member)
                        .isEqualTo(alone.get(i).values());
            }
        }
    }

    private List<Matrix> randoms(int rows, int cols) {
        return IntStream.range(0, MEMBERS).mapToObj(m -> random(rows, cols)).toList();
    }

    private DeviceMatrix there(List<Matrix> ofMembers, List<Integer> members) {
        Matrix first = ofMembers.get(0);
        Matrix stack = Matrix.zeros(members.size() * first.rows(), first.cols());
        int length = first.values().length;
        for (int i = 0; i < members.size(); i++) {
            System.arraycopy(ofMembers.get(members.get(i)).values(), 0, stack.values(), i * length, length);
        }
        return device.upload(stack, DType.F32);
    }

    private DeviceMatrix codes(List<byte[]> ofMembers, List<Integer> members, int cols) {
        int length = ofMembers.get(0).length;
        byte[] stack = new byte[members.size() * length];
        for (int i = 0; i < members.size(); i++) {
            System.arraycopy(ofMembers.get(members.get(i)), 0, stack, i * length, length);
        }
        return device.upload(stack, stack.length / cols, cols);
    }

    private static int[][] of(int[][] ofMembers, List<Integer> members) {
        return members.stream().map(m -> ofMembers[m]).toArray(int[][]::new);
    }

    private Matrix floats(DeviceMatrix codes) {
        byte[] bytes = device.codes(codes);
        Matrix m = Matrix.zeros(codes.rows(), codes.cols());
        for (int i = 0; i < bytes.length; i++) {
            m.values()[i] = bytes[i] & 0xff;
        }
        return m;
    }

    private Matrix down(DeviceMatrix matrix) {
        return device.download(matrix);
    }

    /** n x n each, upper. */
    private List<Matrix> factors(int n) {
        List<Matrix> factors = randoms(n, n);
        for (Matrix factor : factors) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    int at = i * n + j;
                    factor.values()[at] = j < i ? 0 : j > i ? factor.values()[at] * 0.1f : 1 + random.nextFloat();
                }
            }
        }
        return factors;
    }

    /** n x n each, and symmetric. */
    private List<Matrix> hessians(int n) {
        List<Matrix> hessians = new ArrayList<>();
        for (Matrix x : randoms(2 * n, n)) {
            double[][] product = Naive.product(Naive.transposed(Naive.of(x)), Naive.of(x));
            Matrix h = Matrix.zeros(n, n);
            for (int i = 0; i < n * n; i++) {
                h.values()[i] = (float) product[i / n][i % n] / n;
            }
            hessians.add(h);
        }
        return hessians;
    }

    private int[][] orders(int n) {
        return IntStream.range(0, MEMBERS)
                .mapToObj(m -> random.ints(0, n).distinct().limit(n).toArray())
                .toArray(int[][]::new);
    }

    private int[][] groups(int count) {
        return IntStream.range(0, MEMBERS)
                .mapToObj(m -> random.ints(count, 0, GROUPS).toArray())
                .toArray(int[][]::new);
    }

    private List<byte[]> someCodes(int count) {
        List<byte[]> codes = new ArrayList<>();
        for (int m = 0; m < MEMBERS; m++) {
            byte[] some = new byte[count];
            for (int i = 0; i < count; i++) {
                some[i] = (byte) random.nextInt(16);
            }
            codes.add(some);
        }
        return codes;
    }

    private List<Matrix> scales(int rows) {
        List<Matrix> scales = randoms(rows, GROUPS);
        for (Matrix m : scales) {
            for (int i = 0; i < m.values().length; i++) {
                m.values()[i] = 0.1f + Math.abs(m.values()[i]) / 8;
            }
        }
        return scales;
    }

    private List<Matrix> zeros(int rows) {
        List<Matrix> zeros = randoms(rows, GROUPS);
        for (Matrix m : zeros) {
            for (int i = 0; i < m.values().length; i++) {
                m.values()[i] = 4 + random.nextInt(8);
            }
        }
        return zeros;
    }

    private Grids grids(List<Matrix> scales, List<Matrix> zeros, List<Integer> members) {
        return new Grids(NUMBERS, there(scales, members), there(zeros, members), null);
    }

    /** Rows that fill a kernel's blocks and that do not, and sizes after which a member begins at any address. */
    @ParameterizedTest
    @CsvSource({"64, 128", "33, 50", "7, 37"})
    void columns_take_the_order_of_their_member(int rows, int n) {
        List<Matrix> weights = randoms(rows, n);
        List<byte[]> codes = someCodes(rows * n);
        int[][] orders = orders(n);
        orders[1][3] = -1;
        assertSame(members -> {
            try (DeviceMatrix w = there(weights, members);
                    DeviceMatrix c = codes(codes, members, n);
                    DeviceMatrix some = device.solve().columns(w, of(orders, members));
                    DeviceMatrix someCodes = device.solve().columns(c, of(orders, members))) {
                return List.of(down(some), floats(someCodes));
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 128, SQUARES", "33, 50, SQUARES", "33, 50, POWERS", "7, 37, NONE"})
    void scales_are_those_of_a_search_alone(int rows, int n, Measure measure) {
        float[] factors = measure == Measure.NONE ? new float[] {1} : new float[] {1.1f, 1, .9f, .8f, .7f, .6f};
        GridSearch search = new GridSearch(NUMBERS, true, 7.5f, 8, 8, 8, HALVES, measure, factors, 1);
        List<Matrix> weights = randoms(rows, n);
        List<Matrix> importance = randoms(1, n);
        for (Matrix m : importance) {
            for (int i = 0; i < n; i++) {
                m.values()[i] *= m.values()[i];
            }
        }
        int[][] groups = {{0, 2}, {3, 1}, {2, 3}};
        assertSame(members -> {
            try (DeviceMatrix w = there(weights, members);
                    DeviceMatrix important = there(importance, members);
                    Grids grids = Grids.of(NUMBERS, w.rows(), GROUPS, device)) {
                DeviceMatrix weighing = measure == Measure.SQUARES ? important : null;
                device.solve().search(w, weighing, search, 2, 20, of(groups, members), grids);
                return List.of(down(grids.scales()), down(grids.zeros()));
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 128, 0, 32", "64, 320, 32, 320", "33, 300, 10, 290", "7, 37, 4, 37"})
    void free_columns_are_those_of_a_linear_alone(int rows, int n, int from, int to) {
        List<Matrix> original = randoms(rows, n);
        List<Matrix> working = randoms(rows, n);
        List<Matrix> factors = factors(n);
        assertSame(members -> {
            try (DeviceMatrix w = there(original, members);
                    DeviceMatrix live = there(working, members);
                    DeviceMatrix r = there(factors, members);
                    DeviceMatrix relaxed = device.solve().relax(w, live, r, from, to)) {
                return List.of(down(relaxed));
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 256, 128", "33, 50, 20", "7, 37, 16", "520, 20, 8"})
    void a_sweep_is_that_of_a_linear_alone(int rows, int n, int block) {
        List<Matrix> original = randoms(rows, n);
        List<Matrix> factors = factors(n);
        List<Matrix> scales = scales(rows);
        List<Matrix> zeros = zeros(rows);
        int[][] groups = groups(n);
        assertSame(members -> {
            List<Matrix> results = new ArrayList<>();
            try (DeviceMatrix w = there(original, members);
                    DeviceMatrix live = there(original, members);
                    DeviceMatrix r = there(factors, members);
                    Grids grids = grids(scales, zeros, members);
                    DeviceMatrix codes = device.zeros(w.rows(), n, DType.U8)) {
                for (int from = 0; from < n; from += block) {
                    int begin = from;
                    int end = Math.min(n, from + block);
                    int[][] some = members.stream()
                            .map(m -> Arrays.copyOfRange(groups[m], begin, end))
                            .toArray(int[][]::new);
                    device.solve().sweep(w, live, r, begin, end, grids, some, codes);
                }
                results.add(down(live));
                results.add(floats(codes));
            }
            return results;
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 256, 128, 128", "33, 128, 0, 32", "7, 61, 20, 20", "5, 45, 15, 15"})
    void a_sweep_that_searches_is_that_of_a_linear_alone(int rows, int n, int from, int length) {
        List<Matrix> original = randoms(rows, n);
        List<Matrix> factors = factors(n);
        int end = Math.min(n, from + 128);
        List<Matrix> importance = randoms(1, end - from);
        float[] factorsOfScales = {1.1f, 1, .9f, .8f};
        GridSearch search = new GridSearch(NUMBERS, true, 7.5f, 8, 8, 8, HALVES, Measure.SQUARES, factorsOfScales, 1);
        assertSame(members -> {
            try (DeviceMatrix w = there(original, members);
                    DeviceMatrix live = there(original, members);
                    DeviceMatrix r = there(factors, members);
                    DeviceMatrix important = there(importance, members);
                    Grids grids = Grids.of(NUMBERS, w.rows(), GROUPS, device);
                    DeviceMatrix codes = device.zeros(w.rows(), n, DType.U8)) {
                int[][] groups = members.stream() // numbered otherwise in each
                        .map(m -> IntStream.range(0, end - from)
                                .map(i -> (i / length + m) % GROUPS)
                                .toArray())
                        .toArray(int[][]::new);
                device.solve().sweep(w, live, r, from, end, important, search, length, groups, grids, codes);
                return List.of(down(live), floats(codes), down(grids.scales()), down(grids.zeros()));
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 128, 32, 64", "33, 50, 20, 40", "7, 37, 16, 37", "17, 300, 128, 300"})
    void a_descent_and_its_loss_are_those_of_a_linear_alone(int rows, int n, int from, int to) {
        List<Matrix> gradients = randoms(rows, n);
        List<Matrix> hessians = hessians(n);
        List<Matrix> scales = scales(rows);
        List<Matrix> zeros = zeros(rows);
        List<byte[]> before = someCodes(rows * n);
        double[] damping = {0.25, 0.5, 0.125};
        assertSame(members -> {
            try (DeviceMatrix gradient = there(gradients, members);
                    DeviceMatrix h = there(hessians, members);
                    Grids grids = grids(scales, zeros, members);
                    DeviceMatrix codes = codes(before, members, n);
                    DeviceMatrix change = device.solve().descend(gradient, h, from, to, grids, 2, codes, HALVES);
                    DeviceMatrix product = device.zeros(gradient.rows(), n, DType.F32)) {
                device.solve().addProduct(members.size(), change, h, from, to, gradient);
                double[] own = members.stream().mapToDouble(m -> damping[m]).toArray();
                device.solve().addProduct(members.size(), gradient, h, 0, n, product);
                double[] losses = device.solve().loss(gradient, product, own);
                Matrix bits = Matrix.zeros(losses.length, 2); // of doubles
                for (int i = 0; i < losses.length; i++) {
                    bits.values()[2 * i] = (float) losses[i];
                    bits.values()[2 * i + 1] = (float) (losses[i] - (float) losses[i]);
                }
                return List.of(down(change), down(grids.scales()), floats(codes), down(gradient), down(product), bits);
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"64, 128", "3, 37"})
    void matrices_lie_one_below_the_other(int rows, int n) {
        List<Matrix> matrices = randoms(rows, n);
        assertSame(members -> {
            List<DeviceMatrix> each = members.stream()
                    .map(m -> device.upload(matrices.get(m), DType.F32))
                    .toList();
            try (DeviceMatrix stack = device.solve().stack(each)) {
                return List.of(down(stack));
            } finally {
                each.forEach(DeviceMatrix::close);
            }
        });
    }
}
