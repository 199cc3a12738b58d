package quern.store;

import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * A folder of the machine's own file system. It need not exist before something is written. Reading follows symbolic
 * links, as the snapshots of the Hugging Face cache need; deleting removes the link.
 */
public final class LocalStore implements BlobStore {
    private final Path root;

    public LocalStore(Path root) {
        this.root = root.toAbsolutePath().normalize();
    }

    public Path root() {
        return root;
    }

    @Override
    public String location() {
        return root.toString();
    }

    @Override
    public boolean exists(String path) {
        return Files.isRegularFile(file(path));
    }

    @Override
    public long length(String path) throws IOException {
        return Files.size(existing(path));
    }

    @Override
    public ByteBuffer read(String path, long offset, int length) throws IOException {
        try (FileChannel channel = FileChannel.open(existing(path), StandardOpenOption.READ)) {
            // Asked before memory is taken: a wrong length in a header must not cost two gigabytes.
            require(channel, path, offset, length);
            ByteBuffer bytes = ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
            fill(channel, path, offset, bytes);
            return bytes.flip();
        }
    }

    @Override
    public void read(String path, long offset, ByteBuffer into) throws IOException {
        try (FileChannel channel = FileChannel.open(existing(path), StandardOpenOption.READ)) {
            require(channel, path, offset, into.remaining());
            fill(channel, path, offset, into);
        }
    }

    private void require(FileChannel channel, String path, long offset, int length) throws IOException {
        if (offset < 0 || length < 0 || channel.size() - length < offset) {
            throw new EOFException(
                    "No " + length + " bytes at " + offset + " of the " + channel.size() + " in " + file(path));
        }
    }

    private void fill(FileChannel channel, String path, long offset, ByteBuffer into) throws IOException {
        long at = offset;
        while (into.hasRemaining()) {
            int count = channel.read(into, at);
            if (count < 0) {
                throw new EOFException(file(path) + " became shorter while it was read");
            }
            at += count;
        }
    }

    @Override
    public SeekableByteChannel open(String path) throws IOException {
        return Files.newByteChannel(existing(path));
    }

    @Override
    public List<String> list(String prefix) throws IOException {
        return walk(prefix, true, path -> !BlobPaths.isTemporary(path));
    }

    @Override
    public void write(String path, Body body) throws IOException {
        Path file = file(path);
        Path unfinished = file(BlobPaths.temporary(path));
        Files.createDirectories(parent(file));
        try {
            try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(unfinished), 1 << 16)) {
                body.writeTo(out);
            }
            Files.move(unfinished, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(unfinished);
        }
    }

    @Override
    public void delete(String prefix) throws IOException {
        for (String path : walk(prefix, false, path -> true)) {
            Path file = file(path);
            Files.deleteIfExists(file);
            removeEmptyFolders(parent(file));
        }
    }

    private void removeEmptyFolders(Path folder) throws IOException {
        try {
            for (Path at = folder; at.startsWith(root) && !at.equals(root); at = parent(at)) {
                Files.deleteIfExists(at);
            }
        } catch (DirectoryNotEmptyException somethingElseIsThere) {
            // then it stays
        }
    }

    private List<String> walk(String prefix, boolean follow, Predicate<String> wanted) throws IOException {
        Path folder = BlobPaths.folder(prefix).isEmpty() ? root : file(BlobPaths.folder(prefix));
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        FileVisitOption[] options =
                follow ? new FileVisitOption[] {FileVisitOption.FOLLOW_LINKS} : new FileVisitOption[0];
        try (Stream<Path> files = Files.walk(folder, options)) {
            return files.filter(file -> follow ? Files.isRegularFile(file) : !Files.isDirectory(file))
                    .map(file -> root.relativize(file).toString().replace('\\', '/'))
                    .filter(path -> path.startsWith(prefix))
                    .filter(wanted)
                    .sorted()
                    .toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private Path file(String path) {
        return root.resolve(BlobPaths.safe(path));
    }

    private Path existing(String path) throws NoSuchFileException {
        Path file = file(path);
        if (!Files.isRegularFile(file)) {
            throw new NoSuchFileException(file.toString());
        }
        return file;
    }

    private static Path parent(Path file) {
        Path parent = file.getParent();
        if (parent == null) {
            throw new IllegalArgumentException("No folder above " + file);
        }
        return parent;
    }
}
