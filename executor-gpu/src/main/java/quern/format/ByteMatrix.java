package quern.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * A byte for each weight, and beside it scales, each of a row, of a group in it, or of all: what many libraries store under names of
 * their own. {@code W[n, k] = code[n, k] * scale}, integers counted from the middle of their grid.
 *
 * @param grid integers or E4M3
 * @param codes the suffix of the codes' tensor, outputs x inputs
 * @param scales the suffix of the scales' tensor
 * @param shape of the scales
 */
public record ByteMatrix(Grid grid, String codes, String scales, Shape shape) {
    /** How scales lie. */
    public enum Shape {
        /** Outputs x groups. */
        MATRIX,
        /** Outputs. */
        VECTOR,
        /** One, without a dimension. */
        ONE;

        private long[] of(int outputs, int groups) {
            return switch (this) {
                case MATRIX -> new long[] {outputs, groups};
                case VECTOR -> new long[] {outputs};
                case ONE -> new long[0];
            };
        }
    }

    /** Whether codes are integers. */
    public boolean integers() {
        return grid instanceof IntegerGrid;
    }

    private DType type() {
        return integers() ? DType.I8 : DType.F8_E4M3;
    }

    /** Two tensors. */
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + codes, type(), outputs, inputs),
                TensorSpec.of(linear + scales, scheme.scaleType(), shape.of(outputs, scheme.groups(inputs))));
    }

    public List<ByteBuffer> pack(QuantizedLinear q) {
        byte[] bytes = integers() ? moved(q.codes(), -grid.middle()) : Float8.bytes(q.codes());
        float[] stored = shape == Shape.ONE ? new float[] {q.scales()[0]} : q.scales();
        return List.of(
                ByteBuffer.wrap(bytes), HalfFloats.fromFloats(stored, q.scheme().scaleType()));
    }

    private static byte[] moved(byte[] codes, int by) {
        byte[] moved = new byte[codes.length];
        for (int i = 0; i < moved.length; i++) {
            moved[i] = (byte) (codes[i] + by);
        }
        return moved;
    }

    public Format.Shape shape(String linear, TensorSource tensors) {
        int[] shape = new StoredLinear(tensors, linear).shape(codes);
        return new Format.Shape(shape[0], shape[1]);
    }

    /** With scales of whatever type they are stored in. */
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Format.Shape size = shape(linear, tensors);
        int groups = scheme.groups(size.inputs());
        byte[] bytes = new byte[Math.multiplyExact(size.outputs(), size.inputs())];
        stored.read(codes, type(), size.outputs(), size.inputs()).get(bytes);
        byte[] places = integers() ? moved(bytes, grid.middle()) : Float8.places(bytes, stored, codes);
        float[] found = stored.floats(scales, shape.of(size.outputs(), groups));
        float[] all = new float[size.outputs() * groups];
        float[] zeros = new float[all.length];
        Arrays.fill(zeros, grid.middle());
        for (int i = 0; i < all.length; i++) {
            all[i] = found[shape == Shape.ONE ? 0 : i];
        }
        return new QuantizedLinear(
                scheme.with(stored.floatType(scales)),
                size.outputs(),
                size.inputs(),
                places,
                all,
                zeros,
                QuantizedLinear.runs(size.inputs(), scheme.groupLength(size.inputs())));
    }
}
