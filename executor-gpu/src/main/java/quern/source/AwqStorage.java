package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/**
 * AWQ in the layout {@code gemm}, as AutoAWQ, GPTQModel and AutoRound write it. For a linear of K inputs and N outputs, in groups
 * of g inputs:
 *
 * <pre>
 * P.qweight  I32 [K, N / 8]      eight outputs in a word, output 8 c + i at the bits 4 ORDER[i] and up
 * P.qzeros   I32 [K / g, N / 8]  the same of the zeros
 * P.scales   F16 [K / g, N]
 *
 * W[n, k] = scales[k / g, n] * (code[k, n] - zero[k / g, n])
 * </pre>
 */
final class AwqStorage implements Storage {
    private static final int BITS = 4;
    private static final int CODES_OF_WORD = 32 / BITS;
    private static final int[] ORDER = {0, 4, 1, 5, 2, 6, 3, 7};

    @Override
    public @Nullable Packed read(StoredModel model) throws IOException {
        String layout = layout(model.quantization());
        if (layout == null) {
            return null;
        }
        if (!layout.equals("gemm")) {
            throw model.unreadable("AWQ's layout " + layout + " is not read, gemm is", "use the original model");
        }
        List<PackedTensor> tensors = new ArrayList<>();
        int group = 0;
        for (String linear : model.modulesWith("qweight")) {
            StoredLinear stored = new StoredLinear(model.tensors(), linear);
            int inputs = stored.shape(".qweight")[0];
            int outputs = stored.shape(".scales")[1];
            group = inputs / stored.shape(".scales")[0];
            tensors.add(new PackedTensor(
                    TensorSpec.of(linear + ".weight", DType.F32, outputs, inputs),
                    model.partsOf(linear),
                    new WholeMatrix(() -> weight(stored, outputs, inputs))));
        }
        return new Packed("awq, 4 bits in groups of " + group, tensors);
    }

    /** Null if it is not AWQ. */
    private static @Nullable String layout(Settings quantization) {
        String method = quantization.text("quant_method");
        if ("auto-round".equals(method)) {
            return "auto_round:auto_awq".equals(quantization.text("packing_format")) ? "gemm" : null;
        }
        if (!"awq".equals(method)) {
            return null;
        }
        String version = quantization.text(quantization.has("version") ? "version" : "format");
        return version == null ? "gemm" : version.toLowerCase(Locale.ROOT);
    }

    /** outputs x inputs. */
    private static Matrix weight(StoredLinear stored, int outputs, int inputs) throws IOException {
        int groups = stored.shape(".scales")[0];
        int words = outputs / CODES_OF_WORD;
        if (outputs % CODES_OF_WORD != 0 || inputs % groups != 0) {
            throw stored.unreadable(".scales", groups + " x " + outputs + " does not fit " + inputs + " inputs");
        }
        ByteBuffer codes = stored.read(".qweight", DType.I32, inputs, words);
        ByteBuffer zeros = stored.read(".qzeros", DType.I32, groups, words);
        float[] scales = stored.floats(".scales", groups, outputs);
        Matrix weight = Matrix.zeros(outputs, inputs);
        for (int k = 0; k < inputs; k++) {
            int group = k / (inputs / groups);
            for (int n = 0; n < outputs; n++) {
                int code = nibble(codes, k * words, n) - nibble(zeros, group * words, n);
                weight.values()[n * inputs + k] = scales[group * outputs + n] * code;
            }
        }
        return weight;
    }

    /** The code of output n in the row of words that begins at {@code row}. */
    private static int nibble(ByteBuffer words, int row, int n) {
        int word = words.getInt(words.position() + 4 * (row + n / CODES_OF_WORD));
        return word >>> BITS * ORDER[n % CODES_OF_WORD] & 15;
    }
}
