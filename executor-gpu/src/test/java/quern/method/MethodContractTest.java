package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/** What holds for every method, on every scheme and rule. */
class MethodContractTest {
    private static final Device DEVICE = Devices.open("java");
    private static final String NAME = "model.layers.0.mlp.up_proj";

    @AfterAll
    static void close() {
        DEVICE.close();
    }

    static Stream<Arguments> every_method_scheme_and_rule() {
        List<Arguments> cases = new ArrayList<>();
        for (Method method : Methods.all()) {
            if (method.fractionalZeros()) {
                continue; // HqqTest
            }
            for (int bits : new int[] {2, 3, 4, 8}) {
                for (boolean symmetric : new boolean[] {true, false}) {
                    for (ColumnOrder order : ColumnOrder.values()) {
                        if (method.needsHessian() || order == ColumnOrder.OFF) {
                            int group = order == ColumnOrder.GROUP ? 32 : order == ColumnOrder.STATIC ? -1 : 16;
                            for (ScaleRule rule : EnumSet.complementOf(EnumSet.of(ScaleRule.OPEN))) {
                                cases.add(Arguments.of(
                                        method.name(), Samples.scheme(bits, group, symmetric, order), rule));
                            }
                        }
                    }
                }
            }
            Scheme ternary = new Scheme(2, 16, true, true, ColumnOrder.OFF, DType.BF16);
            cases.add(Arguments.of(method.name(), ternary, ScaleRule.MAX));
            cases.add(Arguments.of(method.name(), ternary, ScaleRule.SALIENCY));
        }
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("every_method_scheme_and_rule")
    void what_comes_out_obeys_its_scheme(String name, Scheme scheme, ScaleRule rule) {
        Random random = Seeds.random();
        Method method = Methods.named(name);
        Matrix weight = Samples.weight(24, 64, random);
        Hessian h = Samples.hessian(64, 128, random);

        Method.Outcome outcome = quantize(method, scheme, rule, h, weight);

        QuantizedLinear q = outcome.quantized();
        assertThat(outcome.notes()).isEmpty();
        for (byte code : q.codes()) {
            assertThat(code & 0xff).isBetween(scheme.lowestCode(), scheme.highestCode());
        }
        boolean turns = scheme.symmetric()
                && scheme.lowestCode() == 0
                && scheme.bits() <= 4
                && (rule == ScaleRule.DIAGONAL || rule == ScaleRule.SALIENCY || name.equals("imatrix"));
        for (int i = 0; i < q.scales().length; i++) {
            assertThat(turns ? Math.abs(q.scales()[i]) : q.scales()[i])
                    .isPositive()
                    .isFinite();
            assertThat(HalfFloats.round(q.scales()[i], scheme.scaleType())).isEqualTo(q.scales()[i]);
            assertThat((int) q.zeros()[i])
                    .isBetween(scheme.grid().lowestZero(), scheme.grid().highestZero());
        }
        int length = scheme.groupLength(64);
        int[] members = new int[q.groups()];
        for (int i = 0; i < 64; i++) {
            members[q.groupOfColumn()[i]]++;
            if (scheme.order() != ColumnOrder.FULL) {
                assertThat(q.groupOfColumn()[i]).isEqualTo(i / length);
            }
        }
        assertThat(members).containsOnly(length);

        assertThat(quantize(method, scheme, rule, h, weight).quantized().codes())
                .as("twice the same")
                .isEqualTo(q.codes());

        double expected = method.needsHessian()
                ? Samples.loss(weight, q.dequantize(), h)
                : Samples.loss(weight, q.dequantize(), identity(64));
        assertThat(outcome.losses().loss()).isCloseTo(expected, within(1e-3 * expected + 1e-9));
        if (method.needsHessian()) {
            assertThat(outcome.losses().loss()).isLessThan(outcome.losses().roundToNearest());
        } else if (rule != ScaleRule.MSE) {
            // MSE lowers another norm.
            assertThat(outcome.losses().loss())
                    .isLessThanOrEqualTo(outcome.losses().roundToNearest());
        }
        assertThat(outcome.losses().weightNorm()).isGreaterThan(outcome.losses().roundToNearest());
    }

    @Test
    void rows_do_not_depend_on_each_other() {
        Random random = Seeds.random();
        Scheme scheme = Samples.scheme(3, 16, true, ColumnOrder.STATIC);
        Hessian h = Samples.hessian(32, 64, random);
        Matrix weight = Samples.weight(1030, 32, random);
        Matrix last = new Matrix(3, 32, Arrays.copyOfRange(weight.values(), 1027 * 32, 1030 * 32));

        byte[] all = quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, weight)
                .quantized()
                .codes();
        byte[] some = quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, last)
                .quantized()
                .codes();

        assertThat(Arrays.copyOfRange(all, 1027 * 32, 1030 * 32)).isEqualTo(some);
    }

    @Test
    void weights_on_a_grid_are_kept() {
        Random random = Seeds.random();
        Hessian h = Samples.hessian(64, 128, random);
        for (Method method : List.of(new Gptq(), new RoundToNearest())) {
            for (boolean symmetric : new boolean[] {true, false}) {
                Scheme scheme = Samples.scheme(4, 16, symmetric, ColumnOrder.OFF);
                Matrix weight = Matrix.zeros(8, 64);
                for (int i = 0; i < weight.values().length; i++) {
                    int first = symmetric ? 15 : 0;
                    int code = i % 16 == 0 ? first : i % 16 == 1 ? 15 : 1 + random.nextInt(15);
                    weight.values()[i] = 0x1p-5f * (code - 8);
                }
                ScaleRule rule = symmetric ? ScaleRule.SALIENCY : ScaleRule.MAX;
                Matrix kept =
                        quantize(method, scheme, rule, h, weight).quantized().dequantize();
                assertThat(kept.values()).isEqualTo(weight.values());
            }
        }
    }

    @Test
    void searched_and_fitted_scales_lower_the_loss() {
        Random random = Seeds.random();
        Hessian h = Samples.hessian(128, 256, random);
        Matrix weight = Samples.weight(64, 128, random);
        for (int bits : new int[] {2, 3, 4}) {
            for (ColumnOrder order : ColumnOrder.values()) {
                Scheme scheme = Samples.scheme(bits, 32, true, order);
                double max = quantize(new Gptq(), scheme, ScaleRule.MAX, h, weight)
                        .losses()
                        .loss();
                double searched = quantize(new Gptq(), scheme, ScaleRule.SALIENCY, h, weight)
                        .losses()
                        .loss();
                assertThat(searched).as(bits + " bits, " + order).isLessThan(0.9 * max);
            }
        }
    }

    @Test
    void a_weight_that_is_not_finite_is_named() {
        Matrix weight = Matrix.zeros(4, 32);
        weight.values()[77] = Float.NaN;
        for (Method method : Methods.all()) {
            Scheme scheme = Samples.scheme(4, 16, true, ColumnOrder.OFF);
            Hessian h = Samples.hessian(32, 64, Seeds.random());
            assertThatThrownBy(() -> quantize(method, scheme, ScaleRule.MAX, h, weight))
                    .isInstanceOf(QuernException.class)
                    .hasMessageStartingWith("Cannot quantize " + NAME + ": its weight holds NaN");
        }
    }

    @Test
    void a_weight_that_no_scale_reaches_is_refused_with_its_bound() {
        Matrix weight = Matrix.zeros(4, 32);
        weight.values()[5] = -1e6f;
        for (Method method : Methods.all()) {
            Scheme scheme = Samples.scheme(4, 16, true, ColumnOrder.OFF);
            Hessian h = Samples.hessian(32, 64, Seeds.random());
            assertThatThrownBy(() -> quantize(method, scheme, ScaleRule.MAX, h, weight))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining(
                            "its weight holds -1.00e+06, and scales of type F16 reach 4.91e+05 at 4 bits");
        }
    }

    @Test
    void an_unknown_method_is_refused_with_the_known_ones() {
        assertThatThrownBy(() -> Methods.named("gptqq"))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot quantize by method gptqq: it is unknown (use one of gptq, gptaq, rtn, imatrix, hqq)");
    }

    static Method.Outcome quantize(Method method, Scheme scheme, ScaleRule rule, Hessian h, Matrix weight) {
        return quantize(method, scheme, rule, h, weight, DEVICE);
    }

    static Method.Outcome quantize(
            Method method, Scheme scheme, ScaleRule rule, Hessian h, Matrix weight, Device device) {
        try (Method.Solver solver =
                method.solver(Samples.recipe(scheme, rule), method.needsHessian() ? h : null, device)) {
            return solver.quantize(NAME, weight, scheme);
        }
    }

    private static Hessian identity(int n) {
        Matrix one = Matrix.zeros(n, n);
        for (int i = 0; i < n; i++) {
            one.values()[i * n + i] = 1;
        }
        return new Hessian(one, 1);
    }
}
