package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

class GptqTest {
    private static final Device JAVA = Devices.open("java");
    private static final Device CPU = Devices.open("cpu", DType.F32);

    /** What is added to the Hessian's diagonal for the sweep, of its mean: the recipe's. */
    private static final double SWEEP = 0.01;

    /** And for the descent at least, of its median. */
    private static final double DESCENT = 0.2;

    @AfterAll
    static void close() {
        JAVA.close();
        CPU.close();
    }

    /**
     * The sweep's codes, worked out in double precision from the published algorithm, for a tiny and very lossy example. With groups of
     * two the first row has a group without negative weights, where our grid differs from the classic tool's on purpose.
     */
    @ParameterizedTest
    @CsvSource({
        "-1, true, OFF, 11 3 15 9, 6 15 5 15, 0 0 0 0, .106667, .12",
        "-1, false, OFF, 9 2 15 7, 3 12 0 15, 0 0 0 0, .086667, .086667",
        "2, true, OFF, , 6 15 5 15, 0 0 1 1, , .093333 .12",
        "2, true, STATIC, , 6 15 5 15, 0 0 1 1, , .093333 .12",
    })
    void the_golden_vector(
            int group,
            boolean symmetric,
            ColumnOrder order,
            String row0,
            String row1,
            String groups,
            String s0,
            String s1) {
        Matrix weight = Samples.matrix(new double[][] {{.30, -.50, .80, .10}, {-.20, .70, -.40, .90}});
        double[][] x = {{1, 0, 2, 1}, {0, 1, 1, 3}, {2, 1, 0, 1}};
        double[][] sum = new double[4][4];
        for (double[] token : x) {
            for (int i = 0; i < 4; i++) {
                for (int j = 0; j < 4; j++) {
                    sum[i][j] += token[i] * token[j];
                }
            }
        }
        Hessian h = new Hessian(Samples.matrix(sum), 3);
        Scheme scheme = new Scheme(4, group, symmetric, false, order, DType.F32);
        for (Device device : new Device[] {JAVA, CPU}) {
            QuantizedLinear q = swept(scheme, ScaleRule.MAX, h, weight, device).quantized();
            if (row0 != null) {
                assertThat(join(q.codes(), 0, 4)).isEqualTo(row0);
            }
            assertThat(join(q.codes(), 4, 8)).isEqualTo(row1);
            assertThat(q.groupOfColumn())
                    .isEqualTo(Arrays.stream(groups.split(" "))
                            .mapToInt(Integer::parseInt)
                            .toArray());
            for (int r = 0; r < 2; r++) {
                String given = r == 0 ? s0 : s1;
                for (int g = 0; given != null && g < q.groups(); g++) {
                    float scale = Float.parseFloat(given.split(" ")[g]);
                    assertThat(q.scales()[r * q.groups() + g]).isCloseTo(scale, within(1e-6f));
                }
            }
        }
    }

    /** Given the scales, every code of the sweep but those at ties is the paper's, in any order. */
    @ParameterizedTest
    @CsvSource({"OFF", "STATIC", "GROUP", "FULL"})
    void swept_codes_are_those_of_the_paper(ColumnOrder order) {
        Random random = Seeds.random();
        int n = 192;
        Matrix weight = Samples.weight(40, n, random);
        Hessian h = Samples.hessian(n, 400, random);
        for (boolean symmetric : new boolean[] {true, false}) {
            for (Device device : new Device[] {JAVA, CPU}) {
                Scheme scheme = Samples.scheme(4, 64, symmetric, order);
                Method.Outcome outcome = swept(scheme, ScaleRule.MAX, h, weight, device);
                QuantizedLinear q = outcome.quantized();
                int[] sweep = sweep(order, h, 64);
                NaiveGptq.Swept naive =
                        NaiveGptq.of(weight, h, forSweep(h), q, sweep).sweep();
                int different = 0;
                for (int r = 0; r < 40; r++) {
                    for (int i = 0; i < n; i++) {
                        different += naive.codes()[r][i] == (q.codes()[r * n + sweep[i]] & 0xff) ? 0 : 1;
                    }
                }
                assertThat(different).as("codes that differ of " + 40 * n).isLessThan(40 * n / 200);
                assertThat(dampedLoss(outcome, weight, h, forSweep(h)))
                        .isCloseTo(naive.loss(), within(2e-3 * naive.loss()));
            }
        }
    }

    /** Where a rule names the scales, what follows the sweep is a descent over codes alone, whatever the order and the length of groups. */
    @ParameterizedTest
    @CsvSource({
        "MAX, OFF, 32, 96",
        "MAX, STATIC, 32, 96",
        "MAX, GROUP, 32, 96",
        "MAX, FULL, 32, 96",
        "MAX, STATIC, -1, 320",
        "MSE, OFF, 48, 120",
        "MSE, FULL, 32, 96",
    })
    void codes_are_those_of_a_descent_from_the_swept_ones_and_scales_stay(
            ScaleRule rule, ColumnOrder order, int group, int n) {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(40, n, random);
        Hessian h = Samples.hessian(n, 2 * n, random);
        for (int bits : new int[] {2, 4}) {
            for (Device device : new Device[] {JAVA, CPU}) {
                Scheme scheme = Samples.scheme(bits, group, bits == 4, order);
                QuantizedLinear before = swept(scheme, rule, h, weight, device).quantized();
                QuantizedLinear after = MethodContractTest.quantize(new Gptq(), scheme, rule, h, weight, device)
                        .quantized();
                assertThat(after.scales()).isEqualTo(before.scales());
                assertThat(after.zeros()).isEqualTo(before.zeros());

                // Columns in the order of groups.
                int[] columns = order == ColumnOrder.FULL
                        ? sweep(order, h, group)
                        : IntStream.range(0, n).toArray();
                int[][] codes = codes(before, columns);
                NaiveGptq.of(weight, h, forDescent(h), before, columns).descend(codes, bits == 2 ? 4 : 2);
                int different = 0;
                int moved = 0;
                for (int r = 0; r < weight.rows(); r++) {
                    for (int i = 0; i < n; i++) {
                        different += codes[r][i] == (after.codes()[r * n + columns[i]] & 0xff) ? 0 : 1;
                        moved += codes[r][i] == (before.codes()[r * n + columns[i]] & 0xff) ? 0 : 1;
                    }
                }
                assertThat(moved).isGreaterThan(10);
                assertThat(different).as("codes that differ of " + moved).isLessThanOrEqualTo(moved / 20);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(value = ScaleRule.class, names = "OPEN", mode = EnumSource.Mode.EXCLUDE)
    void what_follows_the_sweep_lowers_the_loss(ScaleRule rule) {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(40, 128, random);
        Hessian h = Samples.hessian(128, 300, random);
        for (int bits : new int[] {2, 3, 4, 8}) {
            for (ColumnOrder order : ColumnOrder.values()) {
                for (Device device : new Device[] {JAVA, CPU}) {
                    Scheme scheme = Samples.scheme(bits, 32, true, order);
                    double before = dampedLoss(swept(scheme, rule, h, weight, device), weight, h, forDescent(h));
                    Method.Outcome after = MethodContractTest.quantize(new Gptq(), scheme, rule, h, weight, device);
                    assertThat(dampedLoss(after, weight, h, forDescent(h)))
                            .as(scheme.toString())
                            .isLessThan(before);
                }
            }
        }
    }

    /** As in down projections of many models. The mean of the diagonal is then that input's, and damped by a share of it the descent would lose. */
    @ParameterizedTest
    @EnumSource(
            value = ColumnOrder.class,
            names = {"OFF", "STATIC", "GROUP"})
    void what_follows_the_sweep_lowers_the_loss_beside_a_huge_input_too(ColumnOrder order) {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(40, 128, random);
        Hessian plain = Samples.hessian(128, 1000, random);
        Matrix sum = Matrix.zeros(128, 128);
        int huge = 37;
        for (int i = 0; i < 128; i++) {
            for (int j = 0; j < 128; j++) {
                double factor = (i == huge ? 1000 : 1) * (j == huge ? 1000 : 1);
                sum.values()[i * 128 + j] = (float) (plain.sum().at(i, j) * factor);
            }
        }
        Hessian h = new Hessian(sum, plain.tokens());
        Scheme scheme = Samples.scheme(4, 32, true, order);
        double before = dampedLoss(swept(scheme, ScaleRule.MAX, h, weight, CPU), weight, h, forSweep(h));
        Method.Outcome after = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.MAX, h, weight, CPU);
        assertThat(dampedLoss(after, weight, h, forSweep(h))).isLessThan(before);
    }

    /** The devices round differently, so codes may part; what they are worth does not. */
    @Test
    void refinement_is_as_good_on_every_device() {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(300, 128, random);
        Hessian h = Samples.hessian(128, 300, random);
        Scheme scheme = Samples.scheme(3, 32, true, ColumnOrder.STATIC);
        double plain = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, weight, JAVA)
                .losses()
                .loss();
        Method.Outcome other = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, weight, CPU);
        assertThat(other.losses().loss()).isCloseTo(plain, within(0.02 * plain));
        double exact = Samples.loss(weight, other.quantized().dequantize(), h);
        assertThat(other.losses().loss()).isCloseTo(exact, within(1e-3 * exact));
    }

    @Test
    void dead_columns_leave_the_others_alone() {
        Random random = Seeds.random();
        Hessian living = Samples.hessian(32, 64, random);
        Matrix weight = Samples.weight(8, 32, random);
        int[] place = random.ints(0, 40).distinct().limit(32).sorted().toArray();
        Matrix sum = Matrix.zeros(40, 40);
        Matrix wide = Samples.weight(8, 40, random);
        for (int i = 0; i < 32; i++) {
            for (int j = 0; j < 32; j++) {
                sum.values()[place[i] * 40 + place[j]] = living.sum().at(i, j);
            }
            for (int r = 0; r < 8; r++) {
                wide.values()[r * 40 + place[i]] = weight.at(r, i);
            }
        }
        Scheme scheme = Samples.scheme(4, -1, true, ColumnOrder.STATIC);

        QuantizedLinear without = quantize(scheme, living, weight).quantized();
        QuantizedLinear with =
                quantize(scheme, new Hessian(sum, living.tokens()), wide).quantized();

        for (int r = 0; r < 8; r++) {
            for (int c = 0; c < 40; c++) {
                int at = Arrays.binarySearch(place, c);
                int expected = at < 0 ? scheme.middle() : without.codes()[r * 32 + at];
                assertThat((int) with.codes()[r * 40 + c]).isEqualTo(expected);
            }
        }
    }

    @Test
    void a_hessian_that_needs_more_damping_gets_it_and_says_so() {
        Method.Outcome outcome = quantize(
                Samples.scheme(4, 16, true, ColumnOrder.STATIC),
                equal(32, 1.005f),
                Samples.weight(4, 32, Seeds.random()));
        assertThat(outcome.notes())
                .containsExactly("its Hessian could not be factored with a damping of 0.001; raised to 0.01");
    }

    @Test
    void a_hessian_that_cannot_be_factored_is_not_hidden() {
        Scheme scheme = Samples.scheme(4, 16, true, ColumnOrder.STATIC);
        Matrix weight = Samples.weight(4, 32, Seeds.random());

        Method.Outcome outcome = quantize(scheme, equal(32, 3), weight);

        assertThat(outcome.notes()).endsWith("its Hessian could not be factored with any damping; rounded to nearest");
        assertThat(outcome.quantized().codes())
                .isEqualTo(RoundToNearest.quantize(weight, scheme, ScaleRule.MAX, 1)
                        .codes());
    }

    @Test
    void without_a_token_it_is_rounded_to_nearest_and_said() {
        Scheme scheme = Samples.scheme(4, 16, true, ColumnOrder.FULL);
        Method.Outcome outcome =
                quantize(scheme, new Hessian(Matrix.zeros(32, 32), 0), Samples.weight(4, 32, Seeds.random()));
        assertThat(outcome.notes()).containsExactly("no calibration token reached it; rounded to nearest");
    }

    @Test
    void a_hessian_that_is_not_finite_is_an_error_with_the_linear() {
        Hessian h = Samples.hessian(32, 64, Seeds.random());
        h.sum().values()[0] = Float.POSITIVE_INFINITY;
        assertThatThrownBy(() -> quantize(Samples.scheme(4, 16, true, ColumnOrder.OFF), h, Matrix.zeros(4, 32)))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith(
                        "Cannot quantize model.layers.0.mlp.up_proj: the Hessian of its inputs holds Infinity");
    }

    @Test
    void whole_groups_go_by_their_largest_input() {
        Columns columns = Columns.of(Samples.scheme(4, 2, true, ColumnOrder.GROUP), new float[] {1, 5, 3, 9, 2, 8});
        assertThat(columns.sweepToNatural()).containsExactly(3, 2, 5, 4, 1, 0);
    }

    @Test
    void equal_columns_stay_in_order() {
        Columns columns = Columns.of(Samples.scheme(4, 2, true, ColumnOrder.FULL), new float[] {1, 2, 1, 2, 2, 3});
        assertThat(columns.sweepToNatural()).containsExactly(5, 1, 3, 4, 0, 2);
        assertThat(columns.groupOfColumn()).containsExactly(2, 0, 2, 1, 1, 0);
    }

    private static Method.Outcome quantize(Scheme scheme, Hessian h, Matrix weight) {
        // Little damping, so that it has to be raised where a test wants that.
        var little =
                Samples.recipe(scheme, ScaleRule.MAX).edit().percdamp(0.001).recipe();
        try (Method.Solver solver = new Gptq().solver(little, h, JAVA)) {
            return solver.quantize("model.layers.0.mlp.up_proj", weight, scheme);
        }
    }

    /** Ones on the diagonal, the same value everywhere else; its smallest eigenvalue is 1 - value. */
    private static Hessian equal(int n, float value) {
        Matrix sum = Matrix.zeros(n, n);
        for (int i = 0; i < n * n; i++) {
            sum.values()[i] = i % (n + 1) == 0 ? 1 : value;
        }
        return new Hessian(sum, 1);
    }

    private static int[] sweep(ColumnOrder order, Hessian h, int length) {
        float[] diagonal = new float[h.sum().rows()];
        for (int i = 0; i < diagonal.length; i++) {
            diagonal[i] = h.sum().at(i, i);
        }
        return Columns.of(Samples.scheme(4, length, true, order), diagonal).sweepToNatural();
    }

    private static double forSweep(Hessian h) {
        return SWEEP * diagonal(h).average().orElseThrow();
    }

    private static double forDescent(Hessian h) {
        double[] sorted = diagonal(h).sorted().toArray();
        return Math.max(forSweep(h), DESCENT * sorted[sorted.length / 2]);
    }

    private static DoubleStream diagonal(Hessian h) {
        return IntStream.range(0, h.sum().rows()).mapToDouble(i -> h.sum().at(i, i) / (double) h.tokens());
    }

    private static double squares(Matrix weight, QuantizedLinear q) {
        float[] values = q.dequantize().values();
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            sum += Math.pow((double) weight.values()[i] - values[i], 2);
        }
        return sum;
    }

    /** @param damping what is added to the diagonal */
    private static double dampedLoss(Method.Outcome outcome, Matrix weight, Hessian h, double damping) {
        return outcome.losses().loss() + damping * squares(weight, outcome.quantized());
    }

    /** What the sweep alone makes of a weight. */
    private static Method.Outcome swept(Scheme scheme, ScaleRule rule, Hessian h, Matrix weight, Device device) {
        try (GptqSolver solver = new GptqSolver(Samples.recipe(scheme, rule), h, device, 0);
                Inputs inputs = Objects.requireNonNull(solver.factor(scheme).inputs());
                Panel panel = Panel.of(scheme, inputs, List.of(weight), null, 0, weight.rows(), device)) {
            GptqSweep sweep = solver.sweep(inputs, scheme, 1);
            Assembly assembly = new Assembly(sweep.search(), inputs, weight.rows());
            try (DeviceMatrix codes = sweep.sweep(panel);
                    DeviceMatrix gradient = sweep.gradient(panel, codes)) {
                assembly.add(0, panel, codes, gradient, device);
            }
            return assembly.outcome(0, List.of());
        }
    }

    private static int[][] codes(QuantizedLinear q, int[] columns) {
        int[][] codes = new int[q.outputs()][columns.length];
        for (int r = 0; r < codes.length; r++) {
            for (int i = 0; i < columns.length; i++) {
                codes[r][i] = q.codes()[r * columns.length + columns[i]] & 0xff;
            }
        }
        return codes;
    }

    /** The classic tool looks at weights that the errors of its blocks of 128 columns were written back to, and of no later ones. */
    @ParameterizedTest
    @ValueSource(ints = {32, 96, 192})
    void the_classic_rules_choose_scales_by_the_weights_before_a_block(int group) {
        Random random = Seeds.random();
        int n = 3 * 128;
        Matrix weight = Samples.weight(16, n, random);
        Hessian h = Samples.hessian(n, 2 * n, random);
        Scheme scheme = new Scheme(2, group, true, false, ColumnOrder.OFF, DType.F32);

        QuantizedLinear q = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.MAX, h, weight, JAVA)
                .quantized();

        double[][] scales = NaiveGptq.classicScales(weight, h, forSweep(h), group, 3);
        int same = 0;
        int groups = n / group;
        for (int r = 0; r < weight.rows(); r++) {
            for (int g = 0; g < groups; g++) {
                same += Math.abs(q.scales()[r * groups + g] / scales[r][g] - 1) < 1e-3 ? 1 : 0;
            }
        }
        // Where a code differs by rounding, so do the scales behind it.
        assertThat(same).isGreaterThan((int) (0.95 * weight.rows() * groups));
    }

    private static String join(byte[] codes, int from, int to) {
        StringBuilder text = new StringBuilder();
        for (int i = from; i < to; i++) {
            text.append(i == from ? "" : " ").append(codes[i] & 0xff);
        }
        return text.toString();
    }
}
