package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.Seeds;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** HQQ against what it is said to lower; its codes against the library's are in {@code CastGoldenTest}. */
class HqqTest {
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 8})
    void it_lowers_the_norm_that_it_is_for(int bits) {
        Random random = Seeds.random();
        Matrix weight = heavyTailed(64, 256, random);
        Scheme scheme = new Scheme(new IntegerGrid(bits, false, false), 64, 1, ColumnOrder.OFF, DType.F32);
        Method.Outcome outcome = MethodContractTest.quantize(new Hqq(), scheme, ScaleRule.MAX, null, weight);
        QuantizedLinear q = outcome.quantized();
        double ours = norm(weight, q);
        double plain = norm(weight, RoundToNearest.quantize(weight, scheme, ScaleRule.MAX, 1));
        assertThat(ours).isLessThan(plain);
        double squares = 0;
        float[] values = q.dequantize().values();
        for (int i = 0; i < values.length; i++) {
            squares += Math.pow(weight.values()[i] - values[i], 2);
        }
        assertThat(outcome.losses().loss()).isCloseTo(squares, within(1e-6 * squares));
        for (byte code : q.codes()) {
            assertThat(code & 0xff).isLessThanOrEqualTo(scheme.highestCode());
        }
    }

    /** The sum of |error|^0.7. */
    private static double norm(Matrix weight, QuantizedLinear q) {
        float[] values = q.dequantize().values();
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            sum += Math.pow(Math.abs(weight.values()[i] - values[i]), 0.7);
        }
        return sum;
    }

    private static Matrix heavyTailed(int rows, int cols, Random random) {
        Matrix weight = Samples.weight(rows, cols, random);
        for (int i = 0; i < weight.values().length; i += 37) {
            weight.values()[i] *= 4;
        }
        return weight;
    }
}
