package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import quern.device.GridSearch.Measure;
import quern.device.Grids.Multiples;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/** What is searched several groups at a time: blocks with a common unit, to the bit, and groups that a sweep meets on its way. */
abstract class BlockContract extends GridContract {
    /** The grids of ggml's types. */
    private enum Block {
        Q4_0(numbers(4), 8, 32, 1, 1, 1, false),
        Q4_1(numbers(4), 0, 32, 1, 1, 1, true),
        Q5_0(numbers(5), 16, 32, 1, 1, 1, false),
        Q5_1(numbers(5), 0, 32, 1, 1, 1, true),
        Q8_0(numbers(8), 128, 32, 1, 1, 1, false),
        Q2_K(numbers(2), 0, 16, 16, 0, 15, true),
        Q3_K(numbers(3), 4, 16, 16, -32, 31, false),
        Q4_K(numbers(4), 0, 32, 8, 0, 63, true),
        Q5_K(numbers(5), 0, 32, 8, 0, 63, true),
        Q6_K(numbers(6), 32, 16, 16, -128, 127, false),
        IQ4_NL(levels(), 0, 32, 1, 1, 1, false),
        IQ4_XS(levels(), 0, 32, 8, -32, 31, false);

        private final BlockSearch search;

        Block(CodeValues values, int half, int length, int groups, int lowest, int highest, boolean minima) {
            search = new BlockSearch(values, half, length, groups, lowest, highest, minima);
        }

        private static CodeValues numbers(int bits) {
            return new CodeValues(null, 0, (1 << bits) - 1);
        }

        /** Uneven, halfway to the upper. */
        private static CodeValues levels() {
            float[] values = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
            float[] thresholds = new float[values.length - 1];
            for (int i = 0; i < thresholds.length; i++) {
                thresholds[i] = Math.nextDown((values[i] + values[i + 1]) / 2);
            }
            return new CodeValues(new StepFunction(values, thresholds), 0, values.length - 1);
        }
    }

    @ParameterizedTest
    @EnumSource(Block.class)
    void blocks_have_the_bits_of_the_plain_loops(Block block) {
        checkBlocks(block.search, false);
        checkBlocks(block.search, true);
    }

    /** More blocks than are searched together, and rows of all kinds. */
    private void checkBlocks(BlockSearch search, boolean weighted) {
        int rows = 23;
        int n = 512;
        Matrix weights = ofAllKinds(rows, n);
        Matrix importance = random(1, n);
        for (int i = 0; i < n; i++) {
            importance.values()[i] = 0.01f + importance.values()[i] * importance.values()[i];
        }
        int groups = n / search.length();
        int blocks = groups / search.groups();
        float[] scales = new float[rows * groups];
        float[] zeros = new float[rows * groups];
        float[] units = new float[rows * blocks];
        float[] minima = new float[rows * blocks];
        byte[] codes = new byte[rows * n];
        new BlockSearchLoops(search)
                .choose(
                        weights.values(),
                        n,
                        weighted ? importance.values() : null,
                        scales,
                        zeros,
                        units,
                        minima,
                        codes);
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                DeviceMatrix important = device.upload(importance, DType.F32);
                Grids grids = Grids.of(search, rows, n, device);
                DeviceMatrix nearest = device.solve().search(w, weighted ? important : null, search, grids)) {
            assertThat(device.codes(nearest)).isEqualTo(codes);
            assertThat(device.download(grids.scales()).values()).isEqualTo(scales);
            assertThat(device.download(grids.zeros()).values()).isEqualTo(zeros);
            Multiples multiples = grids.multiples();
            assertThat(multiples != null).isEqualTo(search.nested());
            if (multiples != null) {
                assertThat(device.download(multiples.units()).values()).isEqualTo(units);
                if (multiples.minima() != null) {
                    assertThat(device.download(multiples.minima()).values()).isEqualTo(minima);
                }
            }
        }
    }

    private Matrix ofAllKinds(int rows, int n) {
        Matrix weights = random(rows, n);
        for (int i = 0; i < n; i++) {
            float x = weights.values()[i];
            weights.values()[n + i] = 0;
            weights.values()[2 * n + i] = Math.abs(x);
            weights.values()[3 * n + i] = -Math.abs(x);
            weights.values()[4 * n + i] = 1e-6f * x;
            weights.values()[5 * n + i] = 1e-30f * x;
            weights.values()[6 * n + i] = i % 97 == 5 ? 100 : x; // far outliers
            weights.values()[7 * n + i] = (i % 7 - 3) * 0.25f; // candidates tie
            weights.values()[8 * n + i] = 3; // all equal
            weights.values()[9 * n + i] = i % 2 == 0 ? -0.0f : 0.0f;
            weights.values()[10 * n + i] = i / 64 % 2 == 0 ? 0 : x; // groups of zeros beside others
            weights.values()[11 * n + i] = 40 + 0.01f * x; // far from zero
            weights.values()[12 * n + i] = 1e5f * x; // beyond what F16 holds
            weights.values()[13 * n + i] = 1e-39f * x; // their reciprocal is infinite
            weights.values()[14 * n + i] = i % 32 == 0 ? 127 : i % 9 + 0.5f; // halfway between codes
            weights.values()[15 * n + i] = -40 + i % 3 * 0x1p-18f; // a minimum that is far from its scale
        }
        return weights;
    }

    /** With as many columns as a group, and with several groups, of which the last is short. */
    @ParameterizedTest
    @CsvSource({"128, 128", "32, 128", "20, 90", "30, 120"})
    void a_sweep_searches_on_its_way_as_one_group_after_the_other(int length, int width) {
        int rows = 70;
        int n = 140;
        int from = 10;
        int to = from + width;
        GridSearch search = searching();
        Matrix original = random(rows, n);
        Matrix factor = random(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                factor.values()[i * n + j] = j < i ? 0 : 8 + random.nextFloat();
            }
        }
        Matrix importance = random(1, width);
        for (int i = 0; i < width; i++) {
            importance.values()[i] *= importance.values()[i];
        }
        int count = (width + length - 1) / length;
        int[] groups = IntStream.range(0, width).map(i -> count - i / length).toArray(); // group 0 is not the block's
        byte[] codes;
        Matrix scales;
        Matrix zeros;
        Matrix after;
        try (DeviceMatrix w = device.upload(original, DType.F32);
                DeviceMatrix live = device.upload(original, DType.F32);
                DeviceMatrix r = device.upload(factor, DType.F32);
                DeviceMatrix important = device.upload(importance, DType.F32);
                Grids grids = Grids.of(search.values(), rows, count + 1, device);
                DeviceMatrix chosen = device.zeros(rows, n, DType.U8)) {
            int[][] ofColumns = {groups};
            device.solve().sweep(w, live, r, from, to, important, search, length, ofColumns, grids, chosen);
            codes = device.codes(chosen);
            scales = device.download(grids.scales());
            zeros = device.download(grids.zeros());
            after = device.download(live);
        }
        try (DeviceMatrix w = device.upload(original, DType.F32);
                DeviceMatrix live = device.upload(original, DType.F32);
                DeviceMatrix r = device.upload(factor, DType.F32);
                Grids grids = Grids.of(search.values(), rows, count + 1, device);
                DeviceMatrix chosen = device.zeros(rows, n, DType.U8)) {
            for (int begin = from, end; begin < to; begin = end) {
                end = Math.min(to, begin + length);
                int[] ofColumns = Arrays.copyOfRange(groups, begin - from, end - from);
                float[] weighs = Arrays.copyOfRange(importance.values(), begin - from, end - from);
                try (DeviceMatrix free = device.solve().relax(w, live, r, begin, end);
                        DeviceMatrix important = device.upload(new Matrix(1, weighs.length, weighs), DType.F32)) {
                    device.solve().search(free, important, search, 0, length, new int[][] {{ofColumns[0]}}, grids);
                }
                device.solve().sweep(w, live, r, begin, end, grids, new int[][] {ofColumns}, chosen);
            }
            byte[] expected = device.codes(chosen);
            if (length == width) { // nothing is added up in another order
                assertThat(codes).isEqualTo(expected);
                assertThat(scales.values())
                        .isEqualTo(device.download(grids.scales()).values());
                assertThat(zeros.values())
                        .isEqualTo(device.download(grids.zeros()).values());
                assertThat(after.values()).isEqualTo(device.download(live).values());
            }
            int differing = 0;
            for (int i = 0; i < codes.length; i++) {
                differing += codes[i] == expected[i] ? 0 : 1;
            }
            // A scale that is chosen among equals turns a group, and what comes behind it in the row.
            assertThat(differing).isLessThan(rows * width / 100);
        }
        for (int row = 0; row < rows; row++) {
            assertThat(scales.at(row, 0)).isZero();
        }
    }

    private static GridSearch searching() {
        StoredScale halves = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);
        float[] factors = {1.1f, 1, .9f, .8f, .7f, .6f};
        CodeValues numbers = new CodeValues(null, 0, 15);
        return new GridSearch(numbers, false, 15, 8, 1, 15, halves, Measure.SQUARES, factors, 3);
    }
}
