package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * MXFP4 as gpt-oss stores the stacked weights of its experts, for E experts of K inputs and N outputs:
 *
 * <pre>
 * P_blocks  U8 [E, N, K / 32, 16]  E2M1, the even input in the lower half
 * P_scales  U8 [E, N, K / 32]      powers of two
 *
 * P[e, k, n] = code[e, n, k] * 2^(scale[e, n, k / 32] - 127)
 * </pre>
 *
 * The unquantized tensor P is [E, K, N], the other way round. Every value fits BF16.
 */
final class Mxfp4Storage implements Storage {
    private static final int GROUP = 32;

    @Override
    public @Nullable Packed read(StoredModel model) {
        if (!"mxfp4".equals(model.quantization().text("quant_method"))) {
            return null;
        }
        List<PackedTensor> tensors = new ArrayList<>();
        for (String blocks : model.tensors().names()) {
            if (blocks.endsWith("_blocks")) {
                tensors.add(tensor(model, blocks.substring(0, blocks.length() - "_blocks".length())));
            }
        }
        return new Packed("mxfp4, 4-bit floats in groups of " + GROUP, tensors);
    }

    private static PackedTensor tensor(StoredModel model, String name) {
        List<Long> blocks = model.tensors().spec(name + "_blocks").shape();
        boolean fits = blocks.size() == 4
                && blocks.get(3) == GROUP / 2
                && model.has(name + "_scales")
                && model.tensors().spec(name + "_scales").shape().equals(blocks.subList(0, 3))
                && model.tensors().spec(name + "_scales").dtype() == DType.U8
                && model.tensors().spec(name + "_blocks").dtype() == DType.U8;
        if (!fits) {
            throw model.unreadable(
                    name + "_blocks is " + blocks + " and has no scales that fit", "download the model again");
        }
        int outputs = Math.toIntExact(blocks.get(1));
        int inputs = Math.toIntExact(blocks.get(2) * GROUP);
        return new PackedTensor(
                TensorSpec.of(name, DType.BF16, blocks.get(0), inputs, outputs),
                List.of(name + "_blocks", name + "_scales"),
                new Experts(model.tensors(), name, outputs, inputs));
    }

    /** Rows of inputs, expert after expert; each expert that is touched is unpacked whole. */
    private record Experts(TensorSource tensors, String name, int outputs, int inputs) implements PackedTensor.Rows {
        @Override
        public float[] read(int from, int count) throws IOException {
            float[] values = new float[Math.multiplyExact(count, outputs)];
            for (int e = from / inputs; e * inputs < from + count; e++) {
                int first = Math.max(from, e * inputs);
                int end = Math.min(from + count, (e + 1) * inputs);
                unpack(e, first - e * inputs, end - e * inputs, values, (first - from) * outputs);
            }
            return values;
        }

        /** Inputs [first, end) of an expert, as rows, into {@code values} from {@code at} on. */
        private void unpack(int expert, int first, int end, float[] values, int at) throws IOException {
            int groups = inputs / GROUP;
            ByteBuffer codes =
                    tensors.read(name + "_blocks", (long) expert * outputs * inputs / 2, outputs * (inputs / 2));
            ByteBuffer scales = tensors.read(name + "_scales", (long) expert * outputs * groups, outputs * groups);
            for (int n = 0; n < outputs; n++) {
                for (int k = first; k < end; k++) {
                    int pair = codes.get(codes.position() + (n * inputs + k) / 2);
                    int scale = scales.get(scales.position() + n * groups + k / GROUP) & 0xff;
                    values[at + (k - first) * outputs + n] =
                            MicroFloats.e2m1(pair >> 4 * (k % 2)) * MicroFloats.powerOfTwo(scale);
                }
            }
        }
    }
}
