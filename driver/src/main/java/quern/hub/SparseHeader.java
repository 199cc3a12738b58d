package quern.hub;

import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import quern.QuernException;

/** The header of a safetensors file: eight bytes that say how long it is, and JSON. */
final class SparseHeader {
    /** The format allows no more. */
    private static final long LONGEST = 100_000_000;

    private SparseHeader() {}

    /** Reads as much of a file as its header takes, and leaves a hole for the rest. */
    static Path fetch(HubClient client, Repository repository, String file, long size, Path target) throws IOException {
        try (InputStream body = client.get(repository, file, 0).body();
                RandomAccessFile out = new RandomAccessFile(target.toFile(), "rw")) {
            DataInputStream in = new DataInputStream(body);
            long length = Long.reverseBytes(in.readLong());
            if (length < 0 || length > LONGEST || length > size - Long.BYTES) {
                throw new QuernException(
                        "Cannot read %s of %s: it does not begin as a safetensors file (name another model)"
                                .formatted(file, repository));
            }
            byte[] header = new byte[(int) length];
            in.readFully(header);
            out.setLength(0);
            out.writeLong(Long.reverseBytes(length));
            out.write(header);
            out.setLength(size);
        }
        return target;
    }
}
