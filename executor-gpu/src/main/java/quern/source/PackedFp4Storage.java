package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.format.StoredLinear;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * {@code nvfp4-pack-quantized} and {@code mxfp4-pack-quantized} of compressed-tensors: floats of four bits in groups of g inputs. For
 * a linear of K inputs and N outputs:
 *
 * <pre>
 * P.weight_packed        U8 [N, K / 2]       E2M1, the even input in the lower half
 * P.weight_scale         F8_E4M3 [N, K / g]  nvfp4, g = 16; U8 [N, K / g], a power of two: mxfp4, g = 32
 * P.weight_global_scale  F32 [1]             nvfp4 only: a divisor
 *
 * W[n, k] = code[n, k] * (weight_scale[n, k / g] / weight_global_scale)
 * </pre>
 */
final class PackedFp4Storage implements Storage {
    private static final String NV = "nvfp4-pack-quantized";
    private static final String MX = "mxfp4-pack-quantized";

    @Override
    public @Nullable Packed read(StoredModel model) {
        String format = model.quantization().text("format");
        if (!CompressedTensors.is(model.quantization()) || !NV.equals(format) && !MX.equals(format)) {
            return null;
        }
        List<PackedTensor> tensors = new ArrayList<>();
        int group = 0;
        for (String linear : model.modulesWith("weight_packed")) {
            StoredLinear stored = new StoredLinear(model.tensors(), linear);
            int outputs = stored.shape(".weight_packed")[0];
            int inputs = Math.multiplyExact(2, stored.shape(".weight_packed")[1]);
            int[] scales = stored.shape(".weight_scale");
            if (scales[0] != outputs || inputs % scales[1] != 0) {
                throw stored.unreadable(
                        ".weight_scale",
                        "it is " + scales[0] + " x " + scales[1] + " for " + outputs + " x " + inputs + " weights");
            }
            group = inputs / scales[1];
            Rows rows = new Rows(model.tensors(), linear, inputs, scales[1], NV.equals(format));
            tensors.add(new PackedTensor(
                    TensorSpec.of(linear + ".weight", DType.F32, outputs, inputs), model.partsOf(linear), rows));
        }
        return new Packed("compressed-tensors, 4-bit floats in groups of " + group, tensors);
    }

    private record Rows(TensorSource tensors, String linear, int inputs, int groups, boolean divided)
            implements PackedTensor.Rows {
        @Override
        public float[] read(int from, int count) throws IOException {
            ByteBuffer codes =
                    tensors.read(linear + ".weight_packed", (long) from * (inputs / 2), count * (inputs / 2));
            DType type = tensors.spec(linear + ".weight_scale").dtype();
            float[] scales = HalfFloats.toFloats(
                    tensors.read(linear + ".weight_scale", (long) from * groups, count * groups), type, count * groups);
            float divisor =
                    divided ? HalfFloats.toFloats(tensors.read(linear + ".weight_global_scale"), DType.F32, 1)[0] : 1;
            float[] values = new float[count * inputs];
            for (int i = 0; i < values.length; i++) {
                float scale = scales[i / (inputs / groups)];
                int pair = codes.get(codes.position() + i / 2);
                values[i] = MicroFloats.e2m1(pair >> 4 * (i % 2))
                        * (type == DType.U8 ? MicroFloats.powerOfTwo((int) scale) : scale / divisor);
            }
            return values;
        }
    }
}
