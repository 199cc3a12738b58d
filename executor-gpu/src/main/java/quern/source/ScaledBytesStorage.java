package quern.source;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * Weights of a byte each, floats or integers, that are multiplied by scales: the FP8 of DeepSeek, transformers and vLLM ({@code fp8},
 * {@code fbgemm_fp8}), and {@code float-quantized}, {@code int-quantized}, {@code naive-quantized} and {@code mxfp8-quantized} of
 * compressed-tensors. For a linear of K inputs and N outputs:
 *
 * <pre>
 * P.weight             F8_E4M3, F8_E5M2 or I8 [N, K]
 * P.weight_scale_inv   a multiplier despite its name, or
 * P.weight_scale       one [], or one for each row [N, 1], group [N, G] or block [N / B0, K / B1], rounded up; U8: powers of two
 * P.weight_zero_point  I8, shaped like the scales; integers only, may be absent
 *
 * W[n, k] = weight_scale * (weight[n, k] - weight_zero_point)
 * </pre>
 */
final class ScaledBytesStorage implements Storage {
    private static final Set<String> METHODS = Set.of("fp8", "fbgemm_fp8");
    private static final Set<String> FORMATS =
            Set.of("float-quantized", "int-quantized", "naive-quantized", "mxfp8-quantized");
    private static final List<String> SCALES = List.of("weight_scale_inv", "weight_scale");

    @Override
    public @Nullable Packed read(StoredModel model) {
        String method = model.quantization().text("quant_method");
        boolean plain = method != null && METHODS.contains(method);
        if (!plain && !(CompressedTensors.is(model.quantization()) && FORMATS.contains(format(model)))) {
            return null;
        }
        int[] block = plain
                ? pair(model, model.quantization().values().get("weight_block_size"))
                : pair(model, CompressedTensors.weights(model).values().get("block_structure"));
        List<PackedTensor> tensors = new ArrayList<>();
        Set<String> kinds = new TreeSet<>();
        for (String scales : SCALES) {
            for (String linear : model.modulesWith(scales)) {
                if (model.has(linear + ".weight") && isByte(model, linear)) {
                    ScaledBytes weight = ScaledBytes.of(model, linear, scales, block);
                    kinds.add(weight.kind());
                    tensors.add(new PackedTensor(
                            TensorSpec.of(linear + ".weight", DType.F32, weight.outputs(), weight.inputs()),
                            model.partsOf(linear),
                            weight));
                }
            }
        }
        return new Packed(
                Stream.concat(Stream.of(String.valueOf(method)), kinds.stream())
                        .reduce((a, b) -> a + ", " + b)
                        .orElseThrow(),
                tensors);
    }

    private static String format(StoredModel model) {
        return String.valueOf(model.quantization().text("format"));
    }

    private static boolean isByte(StoredModel model, String linear) {
        DType type = model.tensors().spec(linear + ".weight").dtype();
        return type == DType.F8_E4M3 || type == DType.F8_E5M2 || type == DType.I8;
    }

    /** Sides of a block, or null. */
    private static int @Nullable [] pair(StoredModel model, @Nullable Object value) {
        if (value == null) {
            return null;
        }
        if (value instanceof List<?> list
                && list.size() == 2
                && list.get(0) instanceof Integer rows
                && list.get(1) instanceof Integer cols
                && rows > 0
                && cols > 0) {
            return new int[] {rows, cols};
        }
        throw model.unreadable(
                "the block of a scale is said to be " + StoredModel.shown(value),
                "write two numbers, such as [128, 128]");
    }
}
