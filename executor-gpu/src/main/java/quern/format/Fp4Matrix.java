package quern.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.scheme.ColumnOrder;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * 4-bit floats, two a byte, the even input in the lower half, with a scale for each group of inputs; of scales that are 8-bit floats also
 * what all of them were multiplied by.
 *
 * @param group inputs that share a scale
 * @param scaleType F8_E4M3, or F8_E8M0, which is stored as U8
 * @param codes the suffix of the codes' tensor, outputs x inputs / 2
 * @param scales that of the scales', outputs x groups
 * @param global that of the number for the whole weight; null without
 */
public record Fp4Matrix(
        int group,
        DType scaleType,
        String codes,
        String scales,
        @Nullable Global global) {
    /** The place of 0 in the grid. */
    private static final int ZERO = 8;

    private static final Nibbles E2M1 = nibbles();

    /**
     * @param multiplies whether scales times it are the true ones; else the true ones times it are the scales
     * @param shape of the tensor, which has one element
     */
    public record Global(String suffix, boolean multiplies, List<Long> shape) {
        public Global {
            shape = List.copyOf(shape);
        }
    }

    /** What its codes mean. */
    public Scheme scheme(ColumnOrder order) {
        return new Scheme(LevelGrid.E2M1, group, 1, order, scaleType);
    }

    private DType storedType() {
        return scaleType == DType.F8_E4M3 ? DType.F8_E4M3 : DType.U8;
    }

    public List<TensorSpec> layout(String linear, int outputs, int inputs) {
        List<TensorSpec> specs = new ArrayList<>(List.of(
                TensorSpec.of(linear + codes, DType.U8, outputs, inputs / 2),
                TensorSpec.of(linear + scales, storedType(), outputs, inputs / group)));
        if (global != null) {
            specs.add(new TensorSpec(linear + global.suffix(), DType.F32, global.shape()));
        }
        return specs;
    }

    public List<ByteBuffer> pack(QuantizedLinear q) {
        float[] stored = q.scales().clone();
        for (int i = 0; i < stored.length; i++) {
            stored[i] *= q.divisor();
        }
        List<ByteBuffer> buffers = new ArrayList<>(
                List.of(ByteBuffer.wrap(E2M1.pack(q.codes())), HalfFloats.fromFloats(stored, scaleType)));
        if (global != null) {
            float number = global.multiplies() ? 1 / q.divisor() : q.divisor();
            buffers.add(HalfFloats.fromFloats(new float[] {number}, DType.F32));
        }
        return buffers;
    }

    /** Sign and magnitude. */
    private static Nibbles nibbles() {
        byte[] codes = new byte[16];
        byte[] places = new byte[16];
        for (int place = 0; place < codes.length; place++) {
            codes[place] = (byte) (place < ZERO ? ZERO - 1 - place | 8 : place - ZERO);
            places[codes[place]] = (byte) place;
        }
        return new Nibbles(codes, places, true);
    }

    public Format.Shape shape(String linear, TensorSource tensors) {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int[] packed = stored.shape(codes);
        int inputs = Math.multiplyExact(2, packed[1]);
        int[] found = stored.shape(scales);
        if (found[0] != packed[0] || found[1] != (inputs + group - 1) / group) {
            throw stored.unreadable(
                    scales, "it is " + found[0] + " x " + found[1] + " for " + packed[0] + " x " + inputs + " weights");
        }
        return new Format.Shape(packed[0], inputs);
    }

    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Format.Shape shape = shape(linear, tensors);
        int groups = scheme.groups(shape.inputs());
        ByteBuffer pairs = stored.read(codes, DType.U8, shape.outputs(), shape.inputs() / 2);
        float[] all = HalfFloats.toFloats(
                stored.read(scales, storedType(), shape.outputs(), groups), scaleType, shape.outputs() * groups);
        float divisor = divisor(stored);
        for (int i = 0; i < all.length; i++) {
            all[i] /= divisor;
        }
        return new QuantizedLinear(
                scheme,
                shape.outputs(),
                shape.inputs(),
                E2M1.unpack(pairs),
                all,
                new float[all.length],
                QuantizedLinear.runs(shape.inputs(), group),
                divisor);
    }

    private float divisor(StoredLinear stored) throws IOException {
        if (global == null) {
            return 1;
        }
        long[] shape = global.shape().stream().mapToLong(Long::longValue).toArray();
        float number = stored.floats(global.suffix(), shape)[0];
        return global.multiplies() ? 1 / number : number;
    }
}
