package quern.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The tensors of one linear as they are read back: by suffix, with type and shape checked. What does not fit is a
 * {@link QuernException} that names the tensor, since the file was written by somebody else.
 *
 * @param tensors where they are
 * @param linear the linear's full name
 */
public record StoredLinear(TensorSource tensors, String linear) {
    public boolean has(String suffix) {
        return tensors.names().contains(linear + suffix);
    }

    /** The shape of a matrix. */
    public int[] shape(String suffix) {
        TensorSpec spec = spec(suffix);
        if (spec.shape().size() != 2 || spec.shape().stream().anyMatch(d -> d < 1 || d > Integer.MAX_VALUE / 4)) {
            throw unreadable(suffix, "its shape is " + spec.shape() + ", not that of a matrix");
        }
        return new int[] {spec.shape().get(0).intValue(), spec.shape().get(1).intValue()};
    }

    /** A tensor of exactly this type and shape. */
    public ByteBuffer read(String suffix, DType dtype, long... shape) throws IOException {
        TensorSpec spec = spec(suffix);
        List<Long> expected = Arrays.stream(shape).boxed().toList();
        if (spec.dtype() != dtype || !spec.shape().equals(expected)) {
            throw unreadable(suffix, "it is " + spec.dtype() + " " + spec.shape() + ", not " + dtype + " " + expected);
        }
        return tensors.read(linear + suffix).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** All bytes of a tensor of bytes. */
    public ByteBuffer bytes(String suffix) throws IOException {
        return read(suffix, DType.U8, spec(suffix).elements());
    }

    /** A number that is a tensor by itself. */
    public int integer(String suffix) throws IOException {
        ByteBuffer value = read(suffix, DType.I32);
        return value.getInt(value.position());
    }

    public void require(String suffix, int expected) throws IOException {
        int found = integer(suffix);
        if (found != expected) {
            throw unreadable(suffix, "it is " + found + ", only " + expected + " is read");
        }
    }

    /** That a tensor of this type is there. */
    public void present(String suffix, DType dtype) {
        if (spec(suffix).dtype() != dtype) {
            throw unreadable(suffix, "it is " + spec(suffix).dtype() + ", not " + dtype);
        }
    }

    /** The type of a tensor of scales. */
    public DType floatType(String suffix) {
        DType type = spec(suffix).dtype();
        if (type != DType.F16 && type != DType.BF16 && type != DType.F32) {
            throw unreadable(suffix, "scales of type " + type + " are not read");
        }
        return type;
    }

    /** Scales of whatever type they were stored in; each is a finite number. */
    public float[] floats(String suffix, long... shape) throws IOException {
        DType type = floatType(suffix);
        int count = Math.toIntExact(Arrays.stream(shape).reduce(1, Math::multiplyExact));
        float[] values = HalfFloats.toFloats(read(suffix, type, shape), type, count);
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw unreadable(suffix, "it holds " + value);
            }
        }
        return values;
    }

    /** The group of each input, each from 0 to {@code groups} - 1. */
    public int[] groupOfColumn(String suffix, int inputs, int groups) throws IOException {
        int[] group = new int[inputs];
        read(suffix, DType.I32, inputs).asIntBuffer().get(group);
        for (int g : group) {
            if (g < 0 || g >= groups) {
                throw unreadable(suffix, "it names group " + g + " of " + groups);
            }
        }
        return group;
    }

    public QuernException unreadable(String suffix, String reason) {
        return new QuernException("Cannot read " + linear + suffix + ": " + reason
                + " (the file is damaged or was written by a tool that Quern does not know; quantize the model again)");
    }

    private TensorSpec spec(String suffix) {
        if (!has(suffix)) {
            throw unreadable(suffix, "the checkpoint lacks this tensor");
        }
        return tensors.spec(linear + suffix);
    }
}
