package quern.store;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.util.List;

/**
 * A folder of files, wherever it is. Paths are relative, with {@code /} between names. Missing files are
 * {@link java.nio.file.NoSuchFileException}.
 */
public interface BlobStore {
    /** Where this is, for messages. */
    String location();

    boolean exists(String path) throws IOException;

    long length(String path) throws IOException;

    /** {@code length} bytes from {@code offset}, little-endian, position 0. {@link java.io.EOFException} when there are fewer. */
    ByteBuffer read(String path, long offset, int length) throws IOException;

    /** The same into a buffer, as many bytes as it has room for: who reads often need not take new memory each time. */
    default void read(String path, long offset, ByteBuffer into) throws IOException {
        into.put(read(path, offset, into.remaining()));
    }

    SeekableByteChannel open(String path) throws IOException;

    /** The files whose path begins with {@code prefix}, sorted, at any depth. */
    List<String> list(String prefix) throws IOException;

    /** Writes a file that appears whole or not at all; an existing file is replaced. */
    void write(String path, Body body) throws IOException;

    /** Writes a file of another store, a slice in memory at a time. */
    default void copy(BlobStore source, String file, String as) throws IOException {
        long length = source.length(file);
        write(as, out -> {
            int slice = 8 << 20;
            byte[] bytes = new byte[(int) Math.min(slice, length)];
            for (long at = 0; at < length; at += slice) {
                int here = (int) Math.min(slice, length - at);
                source.read(file, at, here).get(bytes, 0, here);
                out.write(bytes, 0, here);
            }
        });
    }

    /** Deletes the files whose path begins with {@code prefix}, and folders left empty. */
    void delete(String prefix) throws IOException;

    /** What is written. */
    @FunctionalInterface
    interface Body {
        void writeTo(OutputStream out) throws IOException;
    }
}
