package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/**
 * A weight that stands in other tensors.
 *
 * @param spec what it is to everyone else; its type holds its values, or rounds them far finer than they were rounded before
 * @param parts the tensors that it stands in, and whatever else is of use to it alone
 * @param rows its values
 */
record PackedTensor(TensorSpec spec, List<String> parts, Rows rows) {
    PackedTensor {
        parts = List.copyOf(parts);
    }

    /** The values of a tensor, which is a matrix of its last dimension by all others. */
    @FunctionalInterface
    interface Rows {
        /** Rows [from, from + count), count x cols. */
        float[] read(int from, int count) throws IOException;
    }

    /** {@code length} of its bytes from {@code offset}: the rows around them are dequantized, no others. */
    ByteBuffer read(long offset, int length) throws IOException {
        if (offset < 0 || length < 0 || offset > spec.bytes() - length) {
            throw new IndexOutOfBoundsException(
                    length + " bytes from " + offset + " of the " + spec.bytes() + " of tensor '" + spec.name() + "'");
        }
        long row = spec.shape().get(spec.shape().size() - 1) * spec.dtype().bytes();
        int first = Math.toIntExact(offset / row);
        int end = Math.toIntExact((offset + length + row - 1) / row);
        ByteBuffer bytes = HalfFloats.fromFloats(rows.read(first, end - first), spec.dtype());
        return bytes.slice(Math.toIntExact(offset - first * row), length).order(ByteOrder.LITTLE_ENDIAN);
    }
}
