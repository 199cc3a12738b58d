package quern.hub;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;

/** One repository's folder in the cache. */
final class HubCache {
    /** A file lock is the process's; threads of ours must not ask for the same one twice. */
    private static final Map<Path, ReentrantLock> LOCKS = new ConcurrentHashMap<>();

    private final Path cache;
    private final Path folder;

    HubCache(Path cache, Repository repository) {
        this.cache = cache.toAbsolutePath();
        this.folder = this.cache.resolve(repository.folder());
    }

    Path snapshot(String commit) {
        return folder.resolve("snapshots").resolve(commit);
    }

    Path blob(String etag) {
        return folder.resolve("blobs").resolve(etag);
    }

    Path incomplete(String etag) throws IOException {
        Path file = folder.resolve("blobs").resolve(etag + ".incomplete");
        Files.createDirectories(folder.resolve("blobs"));
        return file;
    }

    Optional<String> commit(String revision) throws IOException {
        Path ref = folder.resolve("refs").resolve(revision);
        return Files.isRegularFile(ref) ? Optional.of(Files.readString(ref).strip()) : Optional.empty();
    }

    void remember(String revision, String commit) throws IOException {
        Path ref = folder.resolve("refs").resolve(revision);
        Files.createDirectories(parent(ref));
        Path beside = Files.createTempFile(parent(ref), ".", ".ref");
        Files.writeString(beside, commit);
        Files.move(beside, ref, StandardCopyOption.ATOMIC_MOVE);
    }

    /** Makes a blob appear in a snapshot: a relative link, or the file itself where links are not to be had. */
    void link(String commit, String file, String etag) throws IOException {
        Path link = snapshot(commit).resolve(file);
        Path parent = parent(link);
        Files.createDirectories(parent);
        Path target = parent.relativize(blob(etag));
        try {
            Files.createSymbolicLink(link, target);
        } catch (FileAlreadyExistsException e) {
            if (!Files.exists(link)) { // a link to a blob that somebody deleted
                Files.delete(link);
                Files.createSymbolicLink(link, target);
            }
        } catch (UnsupportedOperationException | FileSystemException noLinks) {
            Files.copy(blob(etag), link, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /** One blob, one process and thread at a time; the same lock file as the Python library's. */
    Held lock(String etag) throws IOException {
        Path file = cache.resolve(".locks").resolve(folder.getFileName()).resolve(etag + ".lock");
        Files.createDirectories(parent(file));
        ReentrantLock ours = LOCKS.computeIfAbsent(file, f -> new ReentrantLock());
        ours.lock();
        FileChannel channel = null;
        try {
            channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            return new Held(ours, channel, channel.lock());
        } catch (IOException | RuntimeException e) {
            if (channel != null) {
                channel.close();
            }
            ours.unlock();
            throw e;
        }
    }

    /** A lock until it is closed. */
    record Held(ReentrantLock ours, FileChannel channel, FileLock everybodys) implements AutoCloseable {
        @Override
        public void close() throws IOException {
            try (channel) {
                everybodys.release();
            } finally {
                ours.unlock();
            }
        }
    }

    private static Path parent(Path file) {
        return Objects.requireNonNull(file.getParent());
    }

    /**
     * The ETag that a file's content should have: as many digits as {@code etag}, which is either the SHA-256 of the
     * content or the SHA-1 of git's blob. Empty when the ETag is neither, so that nothing can be verified.
     */
    static Optional<String> digest(Path file, String etag) throws IOException {
        if (!etag.matches("[0-9a-f]{40}|[0-9a-f]{64}")) {
            return Optional.empty();
        }
        try {
            MessageDigest digest = MessageDigest.getInstance(etag.length() == 64 ? "SHA-256" : "SHA-1");
            if (etag.length() == 40) {
                digest.update(("blob " + Files.size(file) + "\0").getBytes(StandardCharsets.US_ASCII));
            }
            byte[] chunk = new byte[1 << 18];
            try (InputStream in = Files.newInputStream(file)) {
                for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                    digest.update(chunk, 0, n);
                }
            }
            return Optional.of(HexFormat.of().formatHex(digest.digest()));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has both
        }
    }
}
