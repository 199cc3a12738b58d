package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.scheme.ColumnOrder;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Both methods on tables of values, with every kind of scale. */
class LevelGridMethodTest {
    static Stream<Arguments> schemes() {
        return Stream.of(
                        new Scheme(LevelGrid.NF4, 64, 1, ColumnOrder.STATIC, DType.F32),
                        new Scheme(LevelGrid.FP4, 64, 1, ColumnOrder.GROUP, DType.F32),
                        new Scheme(LevelGrid.INT8, -1, 1, ColumnOrder.STATIC, DType.F32),
                        new Scheme(LevelGrid.E4M3, -1, 1, ColumnOrder.OFF, DType.BF16),
                        new Scheme(LevelGrid.E2M1, 16, 1, ColumnOrder.STATIC, DType.F8_E4M3),
                        new Scheme(LevelGrid.E2M1, 32, 1, ColumnOrder.STATIC, DType.F8_E8M0))
                .flatMap(scheme -> Stream.of(ScaleRule.MAX, ScaleRule.SALIENCY)
                        .flatMap(rule -> Stream.of("rtn", "gptq").map(method -> Arguments.of(method, scheme, rule))));
    }

    @ParameterizedTest
    @MethodSource("schemes")
    void codes_stand_for_values_near_the_weights_and_their_loss_is_what_is_said(
            String name, Scheme scheme, ScaleRule rule) {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(48, 128, random);
        Hessian h = Samples.hessian(128, 256, random);
        Method method = Methods.named(name);

        Method.Outcome outcome = MethodContractTest.quantize(method, scheme, rule, h, weight);

        QuantizedLinear q = outcome.quantized();
        for (float scale : q.scales()) {
            float stored = scale * q.divisor();
            assertThat(stored).isPositive();
            if (scheme.scaleType() == DType.F8_E8M0) {
                assertThat(stored).isEqualTo(Math.scalb(1f, Math.getExponent(stored)));
            }
        }
        assertThat(q.zeros()).containsOnly(0);
        double expected = method.needsHessian() ? Samples.loss(weight, q.dequantize(), h) : squares(weight, q);
        assertThat(outcome.losses().loss()).isCloseTo(expected, within(1e-3 * expected + 1e-9));
        if (method.needsHessian() || rule != ScaleRule.MAX) {
            assertThat(outcome.losses().loss()).isLessThan(outcome.losses().roundToNearest());
        }
    }

    @Test
    void searched_and_fitted_scales_lower_the_loss_with_powers_of_two_too() {
        Random random = Seeds.random();
        Scheme scheme = new Scheme(LevelGrid.E2M1, 32, 1, ColumnOrder.STATIC, DType.F8_E8M0);
        Matrix weight = Samples.weight(64, 128, random);
        Hessian h = Samples.hessian(128, 256, random);
        double searched = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, weight)
                .losses()
                .loss();
        double max = MethodContractTest.quantize(new Gptq(), scheme, ScaleRule.MAX, h, weight)
                .losses()
                .loss();
        assertThat(searched).isLessThan(0.97 * max);
    }

    /** Of all levels the nearest, by looking at each. */
    @Test
    void rounding_takes_the_nearest_of_all_levels() {
        Random random = Seeds.random();
        for (LevelGrid grid : LevelGrid.values()) {
            float[] levels = grid.levels();
            for (int t = 0; t < 5000; t++) {
                float x = (float) (random.nextGaussian() * grid.reach());
                int place = grid.steps().place(x);
                assertThat(grid.place(x)).isEqualTo(place);
                for (float level : levels) {
                    assertThat(Math.abs(x - levels[place])).isLessThanOrEqualTo(Math.abs(x - level));
                }
                float[] one = {x};
                grid.steps().round(one, 1);
                assertThat(one[0]).isEqualTo(levels[place]);
            }
        }
    }

    @Test
    void halfway_goes_where_the_format_says() {
        assertThat(List.of(0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5f, -0.25f, -2.5f).stream()
                        .map(x -> LevelGrid.E2M1.levels()[LevelGrid.E2M1.steps().place(x)]))
                .containsExactly(0f, 1f, 1f, 2f, 2f, 4f, 4f, -0f, -2f);
        float down = (LevelGrid.NF4.levels()[3] + LevelGrid.NF4.levels()[4]) / 2;
        assertThat(LevelGrid.NF4.steps().place(down)).isEqualTo(3);
        assertThat(LevelGrid.NF4.steps().place(Math.nextUp(down))).isEqualTo(4);
        assertThat(LevelGrid.E4M3.levels()[LevelGrid.E4M3.steps().place(17)]).isEqualTo(16);
        assertThat(LevelGrid.E4M3.levels()[LevelGrid.E4M3.steps().place(19)]).isEqualTo(20);
        assertThat(LevelGrid.E4M3.levels()[LevelGrid.E4M3.steps().place(1000)]).isEqualTo(448);
        float[] levels = LevelGrid.E4M3.levels();
        for (int i = 0; i + 1 < levels.length; i++) {
            float half = (levels[i] + levels[i + 1]) / 2;
            assertThat(LevelGrid.E4M3.place(half))
                    .isEqualTo(LevelGrid.E4M3.steps().place(half));
            assertThat(LevelGrid.E4M3.place(levels[i])).isEqualTo(i);
        }
        assertThat(LevelGrid.E4M3.place(-1e-9f))
                .isEqualTo(LevelGrid.E4M3.steps().place(-1e-9f));
    }

    @Test
    void rows_that_share_a_scale_share_the_largest() {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(256, 256, random);
        Scheme scheme = new Scheme(LevelGrid.E4M3, 128, 128, ColumnOrder.OFF, DType.F32);
        QuantizedLinear q = MethodContractTest.quantize(
                        new RoundToNearest(), scheme, ScaleRule.MAX, Samples.hessian(256, 8, random), weight)
                .quantized();
        for (int block = 0; block < 4; block++) {
            float largest = 0;
            for (int r = 0; r < 128; r++) {
                for (int c = 0; c < 128; c++) {
                    largest = Math.max(largest, Math.abs(weight.at(block / 2 * 128 + r, block % 2 * 128 + c)));
                }
            }
            for (int r = 0; r < 128; r++) {
                assertThat(q.scales()[(block / 2 * 128 + r) * 2 + block % 2]).isEqualTo(largest / 448);
            }
        }
    }

    @Test
    void weights_of_a_site_share_the_divisor_of_their_scales() {
        Random random = Seeds.random();
        Matrix weight = Samples.weight(8, 32, random);
        Scheme scheme = new Scheme(LevelGrid.E2M1, 16, 1, ColumnOrder.OFF, DType.F8_E4M3);
        for (Method method : List.of(new Gptq(), new RoundToNearest())) {
            try (Device device = Devices.open("java");
                    Method.Solver solver = method.solver(
                            Samples.recipe(scheme, ScaleRule.MAX), Samples.hessian(32, 64, random), device, 3)) {
                assertThat(solver.quantize("p", weight, scheme).quantized().divisor())
                        .isEqualTo(448f * 6 / 3);
            }
        }
    }

    private static double squares(Matrix weight, QuantizedLinear q) {
        float[] values = q.dequantize().values();
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            double e = weight.values()[i] - values[i];
            sum += e * e;
        }
        return sum;
    }
}
