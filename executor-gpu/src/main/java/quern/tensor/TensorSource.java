package quern.tensor;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;

/** Tensors by name, read when asked for. */
public interface TensorSource {
    Set<String> names();

    /** {@link java.util.NoSuchElementException} for a name that is not there; ask {@link #names()} first. */
    TensorSpec spec(String name);

    /** All bytes of a tensor, little-endian, row-major; a direct buffer. */
    ByteBuffer read(String name) throws IOException;

    /** {@code length} bytes of a tensor from {@code offset} within it. */
    ByteBuffer read(String name, long offset, int length) throws IOException;

    /** As many bytes of a tensor as the buffer has room for, from {@code offset} within it; the buffer is then full. */
    default void read(String name, long offset, ByteBuffer into) throws IOException {
        into.put(read(name, offset, into.remaining()));
    }
}
