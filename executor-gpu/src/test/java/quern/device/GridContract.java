package quern.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.device.GridSearch.Measure;
import quern.device.Grids.Multiples;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/** Codes and the grids that they lie on: the search of scales, rounding, descent, and what these cost. */
abstract class GridContract extends StackContract {
    private static final CodeValues NUMBERS = new CodeValues(null, 0, 15);
    /** Uneven, and halfway to the lower. */
    private static final CodeValues LEVELS = new CodeValues(
            new StepFunction(
                    new float[] {-1, -.5f, -.125f, 0, .25f, .75f, 1},
                    new float[] {-.75f, -.3125f, -.0625f, .125f, .5f, .875f}),
            0,
            6);

    private static final StoredScale HALVES = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);

    /** What a code stands for, before zero and scale. */
    private static double value(CodeValues values, int code) {
        return values.levels() == null ? code : values.levels().values()[code];
    }

    private Grids grids(CodeValues values, int rows, int groups, @Nullable Multiples multiples) {
        Matrix scales = Matrix.zeros(rows, groups);
        Matrix zeros = Matrix.zeros(rows, groups);
        for (int i = 0; i < rows * groups; i++) {
            scales.values()[i] = HalfFloats.round(0.2f + 0.2f * random.nextFloat(), DType.F16);
            zeros.values()[i] = values.levels() != null ? 0 : 4 + random.nextInt(8);
        }
        return new Grids(values, device.upload(scales, DType.F32), device.upload(zeros, DType.F32), multiples);
    }

    private byte[] randomCodes(CodeValues values, int count) {
        byte[] codes = new byte[count];
        for (int i = 0; i < count; i++) {
            codes[i] = (byte) (values.lowest() + random.nextInt(values.highest() - values.lowest() + 1));
        }
        return codes;
    }

    @Test
    void codes_come_back_as_they_went() {
        byte[] codes = new byte[3 * 37];
        random.nextBytes(codes);
        try (DeviceMatrix there = device.upload(codes, 3, 37);
                DeviceMatrix zeros = device.zeros(2, 5, DType.U8)) {
            assertThat(there.dtype()).isEqualTo(DType.U8);
            assertThat(device.codes(there)).isEqualTo(codes);
            assertThat(device.codes(zeros)).isEqualTo(new byte[10]);
        }
    }

    @Test
    void columns_take_another_order() {
        Matrix m = random(5, 9);
        byte[] codes = randomCodes(NUMBERS, 5 * 9);
        int[] order = {8, 0, -1, 3, 3, 7};
        try (DeviceMatrix there = device.upload(m, DType.F32);
                DeviceMatrix some = device.solve().columns(there, order);
                DeviceMatrix coded = device.upload(codes, 5, 9);
                DeviceMatrix someCodes = device.solve().columns(coded, order)) {
            Matrix actual = device.download(some);
            byte[] actualCodes = device.codes(someCodes);
            for (int r = 0; r < 5; r++) {
                for (int j = 0; j < order.length; j++) {
                    assertThat(actual.at(r, j)).isEqualTo(order[j] < 0 ? 0 : m.at(r, order[j]));
                    assertThat(actualCodes[r * 6 + j]).isEqualTo(order[j] < 0 ? 0 : codes[r * 9 + order[j]]);
                }
            }
        }
    }

    @Test
    void a_hessian_is_ordered_and_damped() {
        int n = 70;
        Matrix sum = random(n, n);
        int[] order = random.ints(0, n).distinct().limit(n).toArray();
        float[] diagonal = random(1, n).values();
        try (DeviceMatrix there = device.upload(sum, DType.F32);
                DeviceMatrix h = device.solve().hessian(there, 1001, order, diagonal)) {
            Matrix actual = device.download(h);
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    assertThat(actual.at(i, j)).isEqualTo(i == j ? diagonal[i] : sum.at(order[i], order[j]) / 1001);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "true, NONE, F16",
        "true, SQUARES, F16",
        "true, POWERS, F32",
        "false, NONE, F32",
        "false, SQUARES, BF16",
        "false, POWERS, F16",
        "true, SQUARES, F8_E8M0",
        "true, SQUARES, F8_E4M3",
    })
    void the_search_takes_the_best_candidate(boolean symmetric, Measure measure, DType type) {
        StoredScale stored = switch (type) {
            case F16 -> HALVES;
            case F8_E4M3 -> new StoredScale(type, 77, 0x1p-9f, 448, false);
            default -> new StoredScale(type, 1, Float.MIN_NORMAL, 0x1p127f, false);
        };
        float[] factors = measure == Measure.NONE ? new float[] {1} : new float[] {1.1f, 1, .9f, .8f, .7f, .6f};
        int zeros = symmetric || measure != Measure.SQUARES ? 1 : 3;
        checkSearch(new GridSearch(
                NUMBERS,
                symmetric,
                symmetric ? 7.5f : 15,
                8,
                symmetric ? 8 : 1,
                symmetric ? 8 : 15,
                stored,
                measure,
                factors,
                zeros));
    }

    @Test
    void the_search_takes_the_best_candidate_of_levels() {
        float[] factors = {1.1f, 1, .9f, .8f, .7f, .6f};
        checkSearch(new GridSearch(LEVELS, true, 1, 0, 0, 0, HALVES, Measure.SQUARES, factors, 1));
    }

    /** Groups of 24 columns behind three others, the last one short, and numbered the other way round. */
    private void checkSearch(GridSearch search) {
        int rows = 40;
        int n = 3 + 24 + 24 + 10;
        Matrix weights = random(rows, n);
        Arrays.fill(weights.values(), 5 * n, 6 * n, 0); // only zeros
        for (int i = 6 * n; i < 7 * n; i++) {
            weights.values()[i] = Math.abs(weights.values()[i]); // nothing below zero
        }
        Matrix importance = random(1, n);
        for (int i = 0; i < n; i++) {
            importance.values()[i] *= importance.values()[i];
        }
        int[] groups = {3, 1, 0};
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                DeviceMatrix important = device.upload(importance, DType.F32);
                Grids grids = Grids.of(search.values(), rows, 4, device)) {
            device.solve()
                    .search(
                            w,
                            search.measure() == Measure.SQUARES ? important : null,
                            search,
                            3,
                            24,
                            new int[][] {groups},
                            grids);
            Matrix scales = device.download(grids.scales());
            Matrix zeros = device.download(grids.zeros());
            for (int r = 0; r < rows; r++) {
                assertThat(scales.at(r, 2)).as("a group that was not searched").isZero();
                for (int k = 0; k < 3; k++) {
                    int from = 3 + 24 * k;
                    int to = Math.min(n, from + 24);
                    float[] row = Arrays.copyOfRange(weights.values(), r * n + from, r * n + to);
                    float[] weighs = Arrays.copyOfRange(importance.values(), from, to);
                    checkBest(search, row, weighs, scales.at(r, groups[k]), zeros.at(r, groups[k]));
                }
            }
        }
    }

    private static void checkBest(GridSearch search, float[] w, float[] importance, float scale, float zero) {
        float low = 0;
        float high = 0;
        for (float x : w) {
            low = Math.min(low, x);
            high = Math.max(high, x);
        }
        if (low == high) {
            low = -1;
            high = 1;
        }
        float full = (search.symmetric() ? Math.max(-low, high) : high - low) / search.reach();
        int middle = search.symmetric() ? search.middle() : (int) Math.rint(-low / full);
        double best = Double.POSITIVE_INFINITY;
        double chosen = Double.NaN;
        for (int shift : search.zeros() == 1 ? new int[] {0} : new int[] {0, -1, 1}) {
            for (float factor : search.factors()) {
                float s = stored(search.stored(), full * factor);
                int z = Math.max(search.lowestZero(), Math.min(search.highestZero(), middle + shift));
                double error = error(search, w, importance, s, z);
                best = Math.min(best, error);
                chosen = s == scale && z == zero ? error : chosen;
            }
        }
        assertThat(chosen).as("a candidate, scale %s, zero %s", scale, zero).isNotNaN();
        assertThat(chosen).isLessThanOrEqualTo(best * (1 + 1e-5) + 1e-12);
    }

    /** By the definition of its type. */
    private static float stored(StoredScale how, float value) {
        if (how.type() == DType.F8_E8M0) {
            int exponent = Math.getExponent(value);
            return Math.scalb(1f, value >= Math.scalb(1.75f, exponent) ? exponent + 1 : exponent);
        }
        float clamped = Math.max(how.smallest(), Math.min(how.largest(), value * how.divisor()));
        return HalfFloats.round(clamped, how.type()) / how.divisor();
    }

    private static double error(GridSearch search, float[] w, float[] importance, double scale, int zero) {
        double sum = 0;
        for (int i = 0; i < w.length; i++) {
            double best = Double.POSITIVE_INFINITY;
            for (int code = search.values().lowest(); code <= search.values().highest(); code++) {
                best = Math.min(best, Math.abs(w[i] - scale * (value(search.values(), code) - zero)));
            }
            sum += switch (search.measure()) {
                case NONE -> 0;
                case POWERS -> Math.pow(best, 2.4);
                case SQUARES -> importance[i] * best * best;
            };
        }
        return sum;
    }

    @Test
    void relaxed_columns_are_those_of_the_recursion() {
        int rows = 600;
        int n = 60;
        int from = 10;
        int to = 47;
        Matrix original = random(rows, n);
        Matrix working = random(rows, n);
        Matrix factor = random(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                factor.values()[i * n + j] = j < i ? 0 : 2 + random.nextFloat();
            }
        }
        double[][] expected = new double[rows][to - from];
        for (int r = 0; r < rows; r++) {
            double[] live = Naive.of(working)[r];
            for (int i = from; i < to; i++) {
                expected[r][i - from] = live[i];
                for (int j = i + 1; j < to; j++) {
                    live[j] += (original.at(r, i) - live[i]) * factor.at(i, j) / factor.at(j, j);
                }
            }
        }
        try (DeviceMatrix w = device.upload(original, DType.F32);
                DeviceMatrix live = device.upload(working, DType.F32);
                DeviceMatrix f = device.upload(factor, DType.F32);
                DeviceMatrix relaxed = device.solve().relax(w, live, f, from, to)) {
            assertClose(device.download(relaxed), expected, 1e-4);
            assertThat(device.download(live).values()).isEqualTo(working.values());
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void rounding_gives_the_nearest_codes(boolean levels) {
        CodeValues values = levels ? LEVELS : NUMBERS;
        int rows = 600;
        int n = 50;
        int[] groups = IntStream.range(0, n).map(i -> (i * 7) % n / 13).toArray();
        Matrix weights = random(rows, n);
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                Grids grids = grids(values, rows, 4, null);
                DeviceMatrix rounded = device.solve().round(w, grids, groups);
                DeviceMatrix error = device.solve().error(w, rounded, grids, groups)) {
            Matrix scales = device.download(grids.scales());
            Matrix zeros = device.download(grids.zeros());
            byte[] codes = device.codes(rounded);
            Matrix actual = device.download(error);
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < n; i++) {
                    float s = scales.at(r, groups[i]);
                    float z = zeros.at(r, groups[i]);
                    float level = (float) value(values, codes[r * n + i]) - z;
                    assertThat(actual.at(r, i)).isEqualTo(weights.at(r, i) - s * level);
                    for (int code = values.lowest(); code <= values.highest(); code++) {
                        double other = Math.abs((double) weights.at(r, i) - s * (value(values, code) - z));
                        assertThat(Math.abs((double) weights.at(r, i) - s * (double) level))
                                .isLessThanOrEqualTo(other + 1e-6);
                    }
                }
            }
        }
    }

    @Test
    void halfway_goes_to_the_even_code() {
        Matrix weights = new Matrix(1, 4, new float[] {.5f, 1.5f, 2.5f, -.5f});
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                Grids grids = new Grids(
                        NUMBERS,
                        device.upload(new Matrix(1, 1, new float[] {1}), DType.F32),
                        device.upload(new Matrix(1, 1, new float[] {8}), DType.F32),
                        null);
                DeviceMatrix codes = device.solve().round(w, grids, new int[4])) {
            assertThat(device.codes(codes)).containsExactly(8, 10, 10, 8);
        }
    }

    /** Who may have which scale. */
    private enum Fit {
        NONE,
        POSITIVE,
        SIGNED,
        MULTIPLES,
        LEVELS
    }

    @ParameterizedTest
    @EnumSource(Fit.class)
    void a_descent_takes_the_best_code_of_each_column_and_then_the_best_scale(Fit fit) {
        CodeValues values = fit == Fit.LEVELS ? LEVELS : NUMBERS;
        int rows = 1100;
        int n = 80;
        int from = 32;
        int to = 64;
        int group = 2;
        Matrix hessian = positive(n);
        Matrix gradient = random(rows, n);
        byte[] before = randomCodes(values, rows * n);
        for (int i = from; i < to; i++) {
            before[7 * n + i] = 5; // what is to stand for zero in a row that nothing pulls at
            gradient.values()[7 * n + i] = 0;
        }
        Matrix units = Matrix.zeros(rows, 2);
        for (int r = 0; r < 2 * rows; r++) {
            units.values()[r] = 0.01f + 0.01f * random.nextFloat();
        }
        Multiples multiples =
                fit == Fit.MULTIPLES ? new Multiples(device.upload(units, DType.F32), null, 2, -32, 31) : null;
        StoredScale stored = fit == Fit.NONE ? null : new StoredScale(DType.F16, 1, 0x1p-24f, 65504, fit == Fit.SIGNED);
        try (DeviceMatrix h = device.upload(hessian, DType.F32);
                DeviceMatrix g = device.upload(gradient, DType.F32);
                Grids grids = grids(values, rows, 4, multiples);
                DeviceMatrix codes = device.upload(before, rows, n)) {
            Matrix scales = device.download(grids.scales());
            Matrix zeros = device.download(grids.zeros());
            for (int r = 1; r < rows && (fit == Fit.NONE || fit == Fit.SIGNED); r += 2) {
                scales.values()[r * 4 + group] *= -1;
            }
            if (values.levels() == null) {
                zeros.values()[7 * 4 + group] = 5;
            }
            Grids given = new Grids(
                    values, device.upload(scales, DType.F32), device.upload(zeros, DType.F32), grids.multiples());
            Matrix change;
            try (DeviceMatrix grown = device.solve().descend(g, h, from, to, given, group, codes, stored)) {
                change = device.download(grown);
            }
            byte[] after = device.codes(codes);
            Matrix fitted = device.download(given.scales());
            given.scales().close();
            given.zeros().close();
            assertThat(device.download(g).values()).isEqualTo(gradient.values());
            int different = 0;
            for (int r = 0; r < rows; r++) {
                double s = scales.at(r, group);
                double z = zeros.at(r, group);
                double[] slope = Naive.of(gradient)[r];
                double[] level = new double[n];
                for (int i = 0; i < n; i++) {
                    int at = r * n + i;
                    if (i < from || i >= to) {
                        assertThat(after[at]).isEqualTo(before[at]);
                        continue;
                    }
                    level[i] = value(values, after[at]) - z;
                    double was = value(values, before[at]) - z;
                    double target = was + slope[i] / hessian.at(i, i) / s;
                    for (int code = values.lowest(); code <= values.highest(); code++) {
                        assertThat(Math.abs(level[i] - target))
                                .isLessThanOrEqualTo(Math.abs(value(values, code) - z - target) + 1e-3);
                    }
                    different += after[at] == before[at] ? 0 : 1;
                    for (int j = 0; j < n; j++) {
                        slope[j] += s * (was - level[i]) * hessian.at(i, j);
                    }
                    assertThat(change.at(r, i - from))
                            .isEqualTo(scales.at(r, group) * (float) was - fitted.at(r, group) * (float) level[i]);
                }
                float unit = units.at(r, 1);
                checkFit(fit, hessian, slope, level, scales.at(r, group), fitted.at(r, group), unit, r == 7);
                for (int other : new int[] {0, 1, 3}) {
                    assertThat(fitted.at(r, other)).isEqualTo(scales.at(r, other));
                }
            }
            assertThat(different).isGreaterThan(rows * (to - from) / 4);
        }
    }

    /** @param level of the block's columns, zero elsewhere */
    private static void checkFit(
            Fit fit,
            Matrix hessian,
            double[] slope,
            double[] level,
            float before,
            float fitted,
            float unit,
            boolean onlyZeros) {
        double along = 0;
        double curve = 0;
        for (int i = 0; i < level.length; i++) {
            along += level[i] * slope[i];
            for (int j = 0; j < level.length; j++) {
                curve += level[i] * hessian.at(i, j) * level[j];
            }
        }
        if (fit == Fit.NONE || onlyZeros && fit != Fit.LEVELS) {
            assertThat(fitted).isEqualTo(before);
            return;
        }
        double free = before + along / curve;
        float nearest = (float) free;
        switch (fit) {
            case MULTIPLES -> {
                int k = Math.max(-32, Math.min(31, (int) Math.rint(free / unit)));
                nearest = unit * (k == 0 ? 1 : k);
                assertThat(Math.abs(fitted / unit - Math.rint(fitted / unit)) < 1e-3 || fitted == before)
                        .isTrue();
            }
            case SIGNED -> nearest = HalfFloats.round(nearest, DType.F16);
            default -> nearest = free > 0 ? HalfFloats.round(nearest, DType.F16) : before;
        }
        double chosen = Math.abs(fitted - free);
        double possible = Math.min(Math.abs(nearest - free), Math.abs(before - free));
        assertThat(chosen)
                .as("scale %s for %s, was %s", fitted, free, before)
                .isLessThanOrEqualTo(possible + 1e-4 * Math.abs(free) + 1e-6);
        if (fit != Fit.MULTIPLES && fitted != before) {
            assertThat(HalfFloats.round(fitted, DType.F16)).isEqualTo(fitted);
            assertThat(chosen).isLessThanOrEqualTo(1e-3 * Math.abs(free));
        }
    }

    private Matrix positive(int n) {
        double[][] x = Naive.of(random(2 * n, n));
        double[][] product = Naive.product(Naive.transposed(x), x);
        Matrix h = Matrix.zeros(n, n);
        for (int i = 0; i < n * n; i++) {
            h.values()[i] = (float) product[i / n][i % n] / n;
        }
        return h;
    }

    @Test
    void a_loss_is_the_trace_without_the_damping() {
        int rows = 33;
        int n = 90;
        Matrix error = random(rows, n);
        Matrix h = positive(n);
        double damping = 0.25;
        double expected = 0;
        double[][] e = Naive.of(error);
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    expected += e[r][i] * (h.at(i, j) - (i == j ? damping : 0)) * e[r][j];
                }
            }
        }
        try (DeviceMatrix there = device.upload(error, DType.F32);
                DeviceMatrix hessian = device.upload(h, DType.F32);
                DeviceMatrix product = device.zeros(rows, n, DType.F32)) {
            device.solve().addProduct(1, there, hessian, 0, n, product);
            assertThat(device.solve().loss(there, product, damping)[0]).isCloseTo(expected, within(1e-5 * expected));
        }
    }
}
