package quern.store;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.NoSuchFileException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;

/** Files in memory, for tests that need thousands of them. */
public final class MemoryStore implements BlobStore {
    private final Map<String, byte[]> files = new ConcurrentSkipListMap<>();

    public MemoryStore put(String path, byte[] bytes) {
        files.put(BlobPaths.safe(path), bytes);
        return this;
    }

    public byte[] bytes(String path) throws NoSuchFileException {
        byte[] bytes = files.get(BlobPaths.safe(path));
        if (bytes == null) {
            throw new NoSuchFileException(path);
        }
        return bytes;
    }

    @Override
    public String location() {
        return "memory";
    }

    @Override
    public boolean exists(String path) {
        return files.containsKey(BlobPaths.safe(path));
    }

    @Override
    public long length(String path) throws IOException {
        return bytes(path).length;
    }

    @Override
    public ByteBuffer read(String path, long offset, int length) throws IOException {
        byte[] bytes = bytes(path);
        if (offset < 0 || length < 0 || offset > bytes.length - length) {
            throw new EOFException(path);
        }
        return ByteBuffer.allocateDirect(length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(bytes, (int) offset, length)
                .flip();
    }

    @Override
    public SeekableByteChannel open(String path) throws IOException {
        byte[] bytes = bytes(path);
        return new SeekableByteChannel() {
            private int at;

            @Override
            public int read(ByteBuffer into) {
                if (at >= bytes.length) {
                    return -1;
                }
                int n = Math.min(into.remaining(), bytes.length - at);
                into.put(bytes, at, n);
                at += n;
                return n;
            }

            @Override
            public int write(ByteBuffer from) {
                throw new java.nio.channels.NonWritableChannelException();
            }

            @Override
            public long position() {
                return at;
            }

            @Override
            public SeekableByteChannel position(long position) {
                at = Math.toIntExact(position);
                return this;
            }

            @Override
            public long size() {
                return bytes.length;
            }

            @Override
            public SeekableByteChannel truncate(long size) {
                throw new java.nio.channels.NonWritableChannelException();
            }

            @Override
            public boolean isOpen() {
                return true;
            }

            @Override
            public void close() {}
        };
    }

    @Override
    public List<String> list(String prefix) {
        BlobPaths.folder(prefix);
        return files.keySet().stream().filter(path -> path.startsWith(prefix)).toList();
    }

    @Override
    public void write(String path, Body body) throws IOException {
        BlobPaths.safe(path);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        body.writeTo(bytes);
        put(path, bytes.toByteArray());
    }

    @Override
    public void delete(String prefix) {
        list(prefix).forEach(files::remove);
    }
}
