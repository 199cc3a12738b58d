package quern.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.format.Format;
import quern.format.Formats;
import quern.format.PackedTensors;
import quern.model.Linear;
import quern.model.Model;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/** What a written linear may differ from its source by: bounds that sound ones keep and mixed up ones do not. */
class VerificationTest {
    private static final Format FORMAT = Formats.named("gptq");

    @TempDir
    Path folder;

    private Model source;
    private Linear linear;
    private Matrix weight;

    @BeforeEach
    void model() throws IOException {
        ToyModel.write(new LocalStore(folder), 1, 7);
        source = Model.open(new LocalStore(folder));
        linear = source.linear(0, "model.layers.0.mlp.gate_proj");
        weight = source.weight(linear);
    }

    private static Scheme scheme(int bits, int group) {
        return new Scheme(bits, group, true, false, ColumnOrder.OFF, DType.F16);
    }

    /** To nearest, by the largest weight of a group. */
    private QuantizedLinear rounded(int bits, int group) {
        int length = group == -1 ? weight.cols() : group;
        int groups = weight.cols() / length;
        int middle = 1 << (bits - 1);
        byte[] codes = new byte[weight.rows() * weight.cols()];
        float[] scales = new float[weight.rows() * groups];
        float[] zeros = new float[scales.length];
        for (int g = 0; g < scales.length; g++) {
            zeros[g] = middle;
            scales[g] = HalfFloats.round(
                    Matrix.largest(weight.values(), g * length, (g + 1) * length) / (middle - 0.5f), DType.F16);
            for (int i = g * length; i < (g + 1) * length; i++) {
                int code = Math.round(weight.values()[i] / scales[g]) + middle;
                codes[i] = (byte) Math.max(0, Math.min(2 * middle - 1, code));
            }
        }
        return new QuantizedLinear(
                scheme(bits, group),
                weight.rows(),
                weight.cols(),
                codes,
                scales,
                zeros,
                QuantizedLinear.runs(weight.cols(), length));
    }

    private List<String> findings(QuantizedLinear quantized) throws IOException {
        return Verification.linear(
                FORMAT, quantized.scheme(), linear, PackedTensors.of(FORMAT, linear.name(), quantized), source);
    }

    /** The error of a linear over the norm of its source. */
    private double error(QuantizedLinear quantized) {
        float[] values = quantized.dequantize().values();
        double error = 0;
        double norm = 0;
        for (int i = 0; i < values.length; i++) {
            error += Math.pow(values[i] - weight.values()[i], 2);
            norm += Math.pow(weight.values()[i], 2);
        }
        return Math.sqrt(error / norm);
    }

    /** With all scales larger, by so much that this is its relative error but for the rounding of scales. */
    private QuantizedLinear off(QuantizedLinear q, double error) {
        float[] values = q.dequantize().values();
        double own = 0;
        double with = 0;
        double norm = 0;
        for (int i = 0; i < values.length; i++) {
            own += values[i] * values[i];
            with += values[i] * weight.values()[i];
            norm += weight.values()[i] * weight.values()[i];
        }
        double factor = (with + Math.sqrt(with * with - own * norm * (1 - error * error))) / own;
        float[] scales = q.scales().clone();
        for (int i = 0; i < scales.length; i++) {
            scales[i] = HalfFloats.round((float) (scales[i] * factor), DType.F16);
        }
        return new QuantizedLinear(
                q.scheme(), q.outputs(), q.inputs(), q.codes(), scales, q.zeros(), q.groupOfColumn());
    }

    private QuantizedLinear shuffled(QuantizedLinear q) {
        byte[] codes = q.codes().clone();
        Random random = new Random(1);
        for (int i = codes.length - 1; i > 0; i--) {
            int j = random.nextInt(i + 1);
            byte code = codes[i];
            codes[i] = codes[j];
            codes[j] = code;
        }
        return new QuantizedLinear(
                q.scheme(), q.outputs(), q.inputs(), codes, q.scales(), q.zeros(), q.groupOfColumn());
    }

    @ParameterizedTest
    @CsvSource({"2, 32, 1.5", "3, 32, 1", "4, 32, 0.5", "8, 32, 0.05", "3, -1, 1.5", "4, -1, 0.75", "8, -1, 0.075"})
    void anErrorJustUnderTheBoundPassesAndOneJustAboveIsRefused(int bits, int group, double bound) throws IOException {
        QuantizedLinear rounded = rounded(bits, group);
        assertThat(error(rounded)).isLessThan(bound / 2);
        QuantizedLinear under = off(rounded, 0.98 * bound);
        assertThat(error(under)).isBetween(0.97 * bound, 0.99 * bound);
        assertThat(findings(under)).isEmpty();
        QuantizedLinear above = off(rounded, 1.02 * bound);
        assertThat(error(above)).isBetween(1.01 * bound, 1.03 * bound);
        assertThat(findings(above))
                .containsExactly("%s differs from its source by %.3f of its norm; at %d bits at most %.2f is in order"
                        .formatted(linear.name(), error(above), bits, bound));
    }

    /** Widths that only blocks of GGUF have, whose weights are compared as they come out of the file. */
    @ParameterizedTest
    @CsvSource({"5, 0.25", "6, 0.1"})
    void widthsOfBlocksHaveBoundsToo(int bits, double bound) {
        assertThat(Verification.values(bits, times(1 + 0.98f * (float) bound), "w", weight))
                .isEmpty();
        assertThat(Verification.values(bits, times(1 + 1.02f * (float) bound), "w", weight))
                .singleElement()
                .asString()
                .contains("at %d bits at most %.2f is in order".formatted(bits, bound));
    }

    private Matrix times(float factor) {
        Matrix scaled = Matrix.zeros(weight.rows(), weight.cols());
        for (int i = 0; i < scaled.values().length; i++) {
            scaled.values()[i] = factor * weight.values()[i];
        }
        return scaled;
    }

    /** Whatever the width, and where a scale reaches over a whole row too. */
    @ParameterizedTest
    @CsvSource({"2, 32", "3, 32", "4, 32", "8, 32", "2, -1", "3, -1", "4, -1", "8, -1"})
    void codesThatAreShuffledAreRefused(int bits, int group) throws IOException {
        QuantizedLinear rounded = rounded(bits, group);
        assertThat(findings(rounded)).isEmpty();
        assertThat(findings(shuffled(rounded)))
                .singleElement()
                .asString()
                .matches(linear.name() + " (differs from its source by|has little to do with its source:) .*");
    }

    @Test
    void shuffledWeightsOfBlocksAreRefused() {
        for (int bits : new int[] {2, 3, 4, 5, 6, 8}) {
            Matrix turned = Matrix.zeros(weight.rows(), weight.cols());
            for (int i = 0; i < turned.values().length; i++) {
                turned.values()[i] = weight.values()[turned.values().length - 1 - i];
            }
            assertThat(Verification.values(bits, turned, "w", weight))
                    .as("%d bits", bits)
                    .hasSize(1);
        }
    }
}
