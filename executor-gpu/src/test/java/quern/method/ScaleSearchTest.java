package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.device.GridSearchLoops;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

class ScaleSearchTest {
    @Test
    void scales_by_max_are_those_of_the_classic_tool() {
        float[] w = {.3f, -.5f, .8f, .1f, -.2f, .7f, -.4f, .9f};
        assertThat(choose(w, ScaleRule.MAX, true, DType.F32).scales()[0]).isEqualTo(1.8f / 15);
        Scales asymmetric = choose(w, ScaleRule.MAX, false, DType.F32);
        assertThat(asymmetric.scales()[0]).isEqualTo(1.4f / 15);
        assertThat(asymmetric.zeros()[0]).isEqualTo(5);
    }

    @Test
    void grids_of_all_groups_span_their_ranges() {
        Random random = Seeds.random();
        for (boolean symmetric : new boolean[] {true, false}) {
            int rows = 5;
            int inputs = 7 * 23;
            float[] w = new float[rows * inputs];
            for (int i = 0; i < w.length; i++) {
                w[i] = i / inputs == 3 ? 0 : (float) random.nextGaussian() + (i / inputs == 4 ? 3 : 0);
            }
            Scheme scheme = new Scheme(4, 23, symmetric, false, ColumnOrder.OFF, DType.F32);
            QuantizedLinear scales = RoundToNearest.quantize(new Matrix(rows, inputs, w), scheme, ScaleRule.MAX, 1);
            for (int g = 0; g < rows * 7; g++) {
                float low = 0;
                float high = 0;
                for (int i = g * 23; i < (g + 1) * 23; i++) {
                    low = Math.min(low, w[i]);
                    high = Math.max(high, w[i]);
                }
                float range = symmetric ? 2 * Math.max(-low, high) : high - low;
                float scale = range == 0 ? 2f / 15 : range / 15;
                assertThat(scales.scales()[g]).isEqualTo(scale);
                float zero = symmetric ? 8 : (float) Math.max(1, Math.rint((range == 0 ? 1 : -low) / scale));
                assertThat(scales.zeros()[g]).isEqualTo(zero);
            }
        }
    }

    @Test
    void a_grid_may_begin_and_end_with_a_groups_weights() {
        float[] w = {.5f, .7f, .9f, 1.1f, -3, -2, -1, 0, 0, 0, 0, 0, 2, 2, 2, 2};
        Scheme scheme = new Scheme(new IntegerGrid(2, false, false, true), 4, 1, ColumnOrder.OFF, DType.F32);
        QuantizedLinear q = RoundToNearest.quantize(new Matrix(2, 8, w), scheme, ScaleRule.MAX, 1);
        assertThat(q.codes()).startsWith(0, 1, 2, 3, 0, 1, 2, 3);
        assertThat(q.zeros()[0]).isCloseTo(-2.5f, within(1e-5f));
        assertThat(q.zeros()[1]).isEqualTo(3);
        for (int i = 0; i < w.length; i++) {
            assertThat(q.dequantize().values()[i]).isCloseTo(w[i], within(i < 8 ? 1e-6f : i < 12 ? 0.34f : 1e-6f));
        }
    }

    @Test
    void a_symmetric_grid_of_few_bits_turns_to_the_side_of_the_largest_weight() {
        float[] w = {.2f, .1f, 0, -.1f, -.2f, -.1f, 0, .1f};
        Scheme scheme = new Scheme(2, 4, true, false, ColumnOrder.OFF, DType.F32);
        QuantizedLinear turned = RoundToNearest.quantize(new Matrix(1, 8, w), scheme, ScaleRule.SALIENCY, 1);
        assertThat(turned.codes()).containsExactly(0, 1, 2, 3, 0, 1, 2, 3);
        assertThat(turned.scales()[0]).isNegative().isEqualTo(-turned.scales()[1]);
        for (ScaleRule classic : new ScaleRule[] {ScaleRule.MAX, ScaleRule.MSE}) {
            QuantizedLinear q = RoundToNearest.quantize(new Matrix(1, 8, w), scheme, classic, 1);
            assertThat(q.scales()[0]).isPositive();
        }
        Scheme bytes = new Scheme(8, 4, true, false, ColumnOrder.OFF, DType.F32);
        assertThat(RoundToNearest.quantize(new Matrix(1, 8, w), bytes, ScaleRule.SALIENCY, 1)
                        .scales()[0])
                .isPositive();
    }

    @Test
    void the_grid_search_finds_the_classic_tools_best() {
        Random random = Seeds.random();
        for (int t = 0; t < 200; t++) {
            float[] w = new float[64];
            for (int i = 0; i < w.length; i++) {
                w[i] = (float) random.nextGaussian();
            }
            w[0] = -8;
            double full = 16.0 / 15;
            double best = Double.POSITIVE_INFINITY;
            for (int i = 0; i < 80; i++) {
                best = Math.min(best, powerError(w, full * (1 - i / 100.0)));
            }
            float found = choose(w, ScaleRule.MSE, true, DType.F32).scales()[0];
            assertThat(powerError(w, found)).isCloseTo(best, within(1e-4 * best));
        }
    }

    /** A float's steps go with its magnitude: twice a scale has the same values, so nothing needs to be clipped for the best one. */
    @Test
    void scales_of_floats_are_sought_in_the_octave_above_the_one_that_reaches_the_largest_weight() {
        Random random = Seeds.random();
        Scheme scheme = new Scheme(LevelGrid.E4M3, -1, 1, ColumnOrder.OFF, DType.F32);
        double plain = 0;
        double searched = 0;
        for (int t = 0; t < 50; t++) {
            float[] w = new float[256];
            for (int i = 0; i < w.length; i++) {
                w[i] = (float) random.nextGaussian();
            }
            Matrix row = new Matrix(1, w.length, w);
            float spanning =
                    RoundToNearest.quantize(row, scheme, ScaleRule.MAX, 1).scales()[0];
            float scale =
                    RoundToNearest.quantize(row, scheme, ScaleRule.SALIENCY, 1).scales()[0];
            double best = Double.POSITIVE_INFINITY;
            for (int i = 0; i < 48; i++) {
                best = Math.min(best, squares(w, spanning * Math.pow(2, i / 48.0)));
            }
            assertThat(scale).isBetween(spanning, 2 * spanning);
            assertThat(squares(w, scale)).isCloseTo(best, within(1e-3 * best));
            plain += squares(w, spanning);
            searched += best;
        }
        assertThat(searched).isLessThan(0.9 * plain);
    }

    /** What is lost where each weight goes to the nearest of all E4M3 values. */
    private static double squares(float[] w, double scale) {
        double sum = 0;
        for (float x : w) {
            double nearest = Double.POSITIVE_INFINITY;
            for (float level : LevelGrid.E4M3.levels()) {
                nearest = Math.min(nearest, Math.abs(x - scale * level));
            }
            sum += nearest * nearest;
        }
        return sum;
    }

    @Test
    void a_row_without_negative_weights_is_not_clipped() {
        assertThat(choose(new float[] {.1f, .5f, 1.5f, .7f}, ScaleRule.MAX, true, DType.F32)
                        .scales()[0])
                .isEqualTo(3f / 15);
    }

    @Test
    void scales_are_positive_and_exact_in_their_type_whatever_the_weights() {
        for (float size : new float[] {0, 1e-30f, 1e-9f, 1e-5f, 1, 1e5f, 1e30f}) {
            for (DType type : new DType[] {DType.F16, DType.BF16, DType.F32}) {
                for (ScaleRule rule : ScaleRule.values()) {
                    for (boolean symmetric : new boolean[] {true, false}) {
                        float[] w = {size, -size, size / 3, -size / 7};
                        float scale = choose(w, rule, symmetric, type).scales()[0];
                        assertThat(scale).isPositive().isFinite();
                        assertThat(HalfFloats.round(scale, type)).isEqualTo(scale);
                    }
                }
            }
        }
    }

    private static Scales choose(float[] w, ScaleRule rule, boolean symmetric, DType type) {
        Scales scales = Scales.of(1, 1);
        float[] importance = new float[w.length];
        java.util.Arrays.fill(importance, 1);
        Scheme scheme = new Scheme(4, -1, symmetric, false, ColumnOrder.OFF, type);
        new GridSearchLoops(new ScaleSearch(scheme, rule, 1).search())
                .choose(new Matrix(1, w.length, w)::read, 1, 0, w.length, importance, scales.scales(), scales.zeros());
        return scales;
    }

    private static double powerError(float[] w, double scale) {
        double sum = 0;
        for (float x : w) {
            sum += Math.pow(Math.abs(scale * Math.max(-8, Math.min(7, Math.rint(x / scale))) - x), 2.4);
        }
        return sum;
    }
}
