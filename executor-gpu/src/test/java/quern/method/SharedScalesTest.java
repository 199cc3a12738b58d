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

/** GPTQ where rows share scales: blocks of rows and columns, and whole matrices. */
class SharedScalesTest {
    private static final int OUTPUTS = 40; // the last block is not full
    private static final int INPUTS = 64;

    private final Random random = Seeds.random();
    private final Hessian hessian = Samples.hessian(INPUTS, 256, random);
    private final Matrix weight = Samples.weight(OUTPUTS, INPUTS, random);

    static Stream<Arguments> schemes() {
        return Stream.of("java", "cpu")
                .flatMap(device -> Stream.of(ColumnOrder.OFF, ColumnOrder.STATIC)
                        .flatMap(order -> Stream.of(
                                Arguments.of(device, new Scheme(LevelGrid.E4M3, 32, 16, order, DType.F32)),
                                Arguments.of(device, new Scheme(LevelGrid.E4M3, -1, -1, order, DType.F32)))));
    }

    /** Scales of rows by themselves are then chosen before the sweep, too. */
    static Stream<Arguments> inStaticOrder() {
        return schemes().filter(arguments -> ((Scheme) arguments.get()[1]).order() == ColumnOrder.STATIC);
    }

    private QuantizedLinear quantized(String device, Scheme scheme, ScaleRule rule, Matrix of) {
        return outcome(device, scheme, rule, of, 0).quantized();
    }

    private Method.Outcome outcome(String name, Scheme scheme, ScaleRule rule, Matrix of, float largest) {
        try (Device device = Devices.open(name, DType.F32);
                Method.Solver solver = new Gptq().solver(Samples.recipe(scheme, rule), hessian, device, largest)) {
            return solver.quantize("linear", of, scheme);
        }
    }

    @ParameterizedTest
    @MethodSource("schemes")
    void scales_are_those_of_the_largest_weight_and_codes_are_better(String device, Scheme scheme) {
        Method.Outcome outcome = outcome(device, scheme, ScaleRule.SALIENCY, weight, 0);
        QuantizedLinear rounded = RoundToNearest.outcome(weight, scheme, ScaleRule.MAX, 0, List.of())
                .quantized();
        assertThat(outcome.quantized().scales()).isEqualTo(rounded.scales());
        double loss = Samples.loss(weight, outcome.quantized().dequantize(), hessian);
        double ofRounded = Samples.loss(weight, rounded.dequantize(), hessian);
        assertThat(loss).isLessThan(0.7 * ofRounded);
        assertThat(outcome.losses().loss()).isCloseTo(loss, within(1e-3 * loss));
        assertThat(outcome.losses().roundToNearest()).isCloseTo(ofRounded, within(1e-3 * ofRounded));
    }

    /** Where the largest weights are alike, rows that have scales of their own have the same ones: then codes are the same, too. */
    @ParameterizedTest
    @MethodSource("inStaticOrder")
    void codes_are_those_of_rows_by_themselves(String device, Scheme scheme) {
        for (int row = 0; row < OUTPUTS; row++) {
            for (int from = 0; from < INPUTS; from += scheme.groupLength(INPUTS)) {
                weight.values()[row * INPUTS + from + row % 32] = row % 2 == 0 ? 0.4f : -0.4f;
            }
        }
        Scheme ofRows = new Scheme(scheme.grid(), scheme.groupSize(), 1, scheme.order(), scheme.scaleType());
        QuantizedLinear shared = quantized(device, scheme, ScaleRule.SALIENCY, weight);
        QuantizedLinear own = quantized(device, ofRows, ScaleRule.MAX, weight);
        assertThat(shared.scales()).isEqualTo(own.scales());
        assertThat(shared.codes()).isEqualTo(own.codes());
    }

    @Test
    void linears_that_programs_join_have_one_scale() {
        Scheme whole = new Scheme(LevelGrid.E4M3, -1, -1, ColumnOrder.STATIC, DType.F32);
        float largest = 2 * weight.largest();
        assertThat(outcome("java", whole, ScaleRule.SALIENCY, weight, largest)
                        .quantized()
                        .scales())
                .containsOnly(largest / 448);
        // A target may lie further out than all weights do.
        Scheme divided = new Scheme(LevelGrid.E2M1, 16, 1, ColumnOrder.STATIC, DType.F8_E4M3);
        float ofWeights = ScaleSearch.divisor(divided, weight, largest);
        weight.values()[0] = 2 * largest;
        assertThat(ScaleSearch.divisor(divided, weight, largest)).isEqualTo(ofWeights);
    }
}
