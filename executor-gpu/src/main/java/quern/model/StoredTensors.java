package quern.model;

import java.io.IOException;
import java.nio.ByteBuffer;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;

/** Float tensors of a checkpoint on their way to a device. All that passes here is known to be finite. */
final class StoredTensors {
    private StoredTensors() {}

    /** A whole tensor of rows x cols elements, whatever its shape, as F32. */
    static DeviceMatrix matrix(TensorSource tensors, String name, int rows, int cols, Device device)
            throws IOException {
        return rows(tensors, name, 0, rows, cols, device);
    }

    /** Rows [from, from + rows) of a tensor with {@code cols} columns, as F32. */
    static DeviceMatrix rows(TensorSource tensors, String name, int from, int rows, int cols, Device device)
            throws IOException {
        return device.upload(bytes(tensors, name, from, rows, cols), type(tensors, name), rows, cols, DType.F32);
    }

    /** All elements of a tensor. */
    static float[] floats(TensorSource tensors, String name) throws IOException {
        return floats(tensors, name, 0, Math.toIntExact(tensors.spec(name).elements()));
    }

    /** The elements of a row, of a tensor with {@code cols} columns. */
    static float[] floats(TensorSource tensors, String name, int row, int cols) throws IOException {
        return HalfFloats.toFloats(bytes(tensors, name, row, 1, cols), type(tensors, name), cols);
    }

    /** The weight of a linear as it is used, outputs x inputs, F32. */
    static DeviceMatrix weight(TensorSource tensors, Linear linear, Device device) throws IOException {
        DType type = type(tensors, linear.weight());
        ByteBuffer bytes = bytes(tensors, linear);
        return linear.transposed()
                ? device.upload(weight(bytes, type, linear), DType.F32)
                : device.upload(bytes, type, linear.outputs(), linear.inputs(), DType.F32);
    }

    /** The bytes of a linear's weight as they are stored, all finite. */
    static ByteBuffer bytes(TensorSource tensors, Linear linear) throws IOException {
        int rows = linear.transposed() ? linear.inputs() : linear.outputs();
        int cols = linear.transposed() ? linear.outputs() : linear.inputs();
        return bytes(tensors, linear.weight(), Math.toIntExact(linear.first() / cols), rows, cols);
    }

    /** The same on the heap, from the tensor's bytes. */
    static Matrix weight(ByteBuffer bytes, DType type, Linear linear) {
        int outputs = linear.outputs();
        int inputs = linear.inputs();
        float[] values = HalfFloats.toFloats(bytes, type, outputs * inputs);
        if (!linear.transposed()) {
            return new Matrix(outputs, inputs, values);
        }
        Matrix weight = Matrix.zeros(outputs, inputs);
        for (int i = 0; i < inputs; i++) {
            for (int o = 0; o < outputs; o++) {
                weight.values()[o * inputs + i] = values[i * outputs + o];
            }
        }
        return weight;
    }

    /** The bytes of rows [from, from + rows), all finite. */
    static ByteBuffer bytes(TensorSource tensors, String name, int from, int rows, int cols) throws IOException {
        DType type = type(tensors, name);
        long row = (long) cols * type.bytes();
        ByteBuffer bytes = tensors.read(name, from * row, Math.toIntExact(rows * row));
        long bad = firstNotFinite(bytes, type);
        if (bad >= 0) {
            throw new QuernException("Cannot use tensor '" + name + "': element [" + (from + bad / cols) + ", "
                    + bad % cols + "] is not a finite number (use a checkpoint without NaN and Inf)");
        }
        return bytes;
    }

    static DType type(TensorSource tensors, String name) {
        return tensors.spec(name).dtype();
    }

    /** Types that weights may be stored as. */
    static boolean isWeightType(DType type) {
        return type == DType.F64 || type == DType.F32 || type == DType.F16 || type == DType.BF16;
    }

    /** Index of the first NaN or Inf, by its exponent of all ones; -1 if there is none. */
    private static long firstNotFinite(ByteBuffer bytes, DType type) {
        int n = bytes.remaining() / type.bytes();
        int base = bytes.position();
        for (int i = 0; i < n; i++) {
            boolean finite;
            switch (type) {
                case F64:
                    finite = Double.isFinite(bytes.getDouble(base + 8 * i));
                    break;
                case F32:
                    finite = (bytes.getInt(base + 4 * i) & 0x7f800000) != 0x7f800000;
                    break;
                case F16:
                    finite = (bytes.getShort(base + 2 * i) & 0x7c00) != 0x7c00;
                    break;
                case BF16:
                    finite = (bytes.getShort(base + 2 * i) & 0x7f80) != 0x7f80;
                    break;
                default:
                    throw new IllegalArgumentException("A weight is not stored as " + type);
            }
            if (!finite) {
                return i;
            }
        }
        return -1;
    }
}
