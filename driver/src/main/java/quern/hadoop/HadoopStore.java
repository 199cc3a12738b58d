package quern.hadoop;

import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CommonPathCapabilities;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.ParentNotDirectoryException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathIsNotEmptyDirectoryException;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.util.functional.FutureIO;
import quern.store.BlobPaths;
import quern.store.BlobStore;

/** A folder of a file system that Hadoop knows. Shares Hadoop's cached file system, so it needs no closing. */
public final class HadoopStore implements BlobStore {
    /** On an object store each is one request; held on the heap while it is copied. */
    private static final int CHUNK = 16 << 20;

    private final FileSystem files;
    private final Configuration settings;
    private final Path root;

    public HadoopStore(URI uri, Configuration settings) throws IOException {
        FileSystem found = FileSystem.get(uri, settings);
        // Hadoop's local file system would leave a .crc file beside each of the model's.
        this.files = found instanceof LocalFileSystem local ? local.getRaw() : found;
        this.settings = settings;
        Path path = uri.getPath() == null || uri.getPath().isEmpty()
                ? new Path(uri.getScheme(), uri.getAuthority(), "/")
                : new Path(uri.getScheme(), uri.getAuthority(), uri.getPath());
        this.root = files.makeQualified(path);
    }

    @Override
    public String location() {
        return root.toString();
    }

    @Override
    public boolean exists(String path) throws IOException {
        try {
            status(path);
            return true;
        } catch (NoSuchFileException e) {
            return false;
        }
    }

    @Override
    public long length(String path) throws IOException {
        return status(path).getLen();
    }

    @Override
    public ByteBuffer read(String path, long offset, int length) throws IOException {
        FileStatus status = status(path);
        if (offset < 0 || length < 0 || offset > status.getLen() - length) {
            throw new EOFException(
                    "No " + length + " bytes at " + offset + " of the " + status.getLen() + " in " + status.getPath());
        }
        ByteBuffer bytes = ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
        if (length == 0) {
            return bytes;
        }
        try (FSDataInputStream in = open(status, "random")) {
            byte[] chunk = new byte[Math.min(CHUNK, length)];
            while (bytes.hasRemaining()) {
                int n = Math.min(chunk.length, bytes.remaining());
                in.readFully(offset + bytes.position(), chunk, 0, n);
                bytes.put(chunk, 0, n);
            }
        }
        return bytes.flip();
    }

    @Override
    public SeekableByteChannel open(String path) throws IOException {
        FileStatus status = status(path);
        return new HadoopChannel(open(status, "adaptive"), status.getLen());
    }

    /** The status spares object stores a request; the policy tells them whether to expect jumps. */
    private FSDataInputStream open(FileStatus status, String readPolicy) throws IOException {
        return FutureIO.awaitFuture(files.openFile(status.getPath())
                .withFileStatus(status)
                .opt("fs.option.openfile.read.policy", readPolicy)
                .build());
    }

    @Override
    public List<String> list(String prefix) throws IOException {
        List<String> paths = new ArrayList<>();
        for (String path : all(prefix)) {
            if (!BlobPaths.isTemporary(path)) {
                paths.add(path);
            }
        }
        return paths;
    }

    private List<String> all(String prefix) throws IOException {
        List<String> paths = new ArrayList<>();
        int below = root.toUri().getPath().length() + (root.isRoot() ? 0 : 1);
        try {
            RemoteIterator<LocatedFileStatus> found = files.listFiles(folder(BlobPaths.folder(prefix)), true);
            while (found.hasNext()) {
                String path = found.next().getPath().toUri().getPath().substring(below);
                if (path.startsWith(prefix)) {
                    paths.add(path);
                }
            }
        } catch (FileNotFoundException | ParentNotDirectoryException e) {
            return List.of();
        }
        Collections.sort(paths);
        return paths;
    }

    @Override
    public void write(String path, Body body) throws IOException {
        Path target = file(path);
        if (files.hasPathCapability(target, CommonPathCapabilities.ABORTABLE_STREAM)) {
            writeInPlace(target, body);
        } else {
            writeBeside(target, file(BlobPaths.temporary(path)), body);
        }
    }

    /** The object appears when the stream is closed, so a failure must not close it. */
    private void writeInPlace(Path target, Body body) throws IOException {
        FSDataOutputStream out =
                files.createFile(target).overwrite(true).recursive().build();
        boolean whole = false;
        try {
            body.writeTo(new NotClosed(out));
            whole = true;
        } finally {
            if (!whole) {
                out.abort();
            }
        }
        out.close();
    }

    private void writeBeside(Path target, Path unfinished, Body body) throws IOException {
        try {
            try (FSDataOutputStream out =
                    files.createFile(unfinished).overwrite(true).recursive().build()) {
                body.writeTo(new NotClosed(out));
            }
            if (files instanceof RawLocalFileSystem) {
                if (!files.rename(unfinished, target)) { // as rename(2): replaces
                    throw new IOException("Could not rename " + unfinished + " to " + target);
                }
            } else {
                FileContext.getFileContext(root.toUri(), settings).rename(unfinished, target, Options.Rename.OVERWRITE);
            }
        } catch (IOException | RuntimeException | Error e) {
            try {
                files.delete(unfinished, false);
            } catch (IOException onTop) {
                e.addSuppressed(onTop);
            }
            throw e;
        }
    }

    @Override
    public void delete(String prefix) throws IOException {
        for (String path : all(prefix)) {
            files.delete(file(path), false);
            removeEmptyFolders(path);
        }
    }

    private void removeEmptyFolders(String path) throws IOException {
        try {
            for (String at = BlobPaths.folder(path); !at.isEmpty(); at = BlobPaths.folder(at)) {
                Path folder = folder(at);
                if (files.listStatusIterator(folder).hasNext()) {
                    return;
                }
                files.delete(folder, false);
            }
        } catch (FileNotFoundException | PathIsNotEmptyDirectoryException somebodyElseWasHere) {
            // then it is gone, or stays
        }
    }

    private FileStatus status(String path) throws IOException {
        Path file = file(path);
        FileStatus status = null;
        try {
            status = files.getFileStatus(file);
        } catch (FileNotFoundException | ParentNotDirectoryException e) {
            // as if it were a folder
        }
        if (status == null || !status.isFile()) {
            throw new NoSuchFileException(file.toString());
        }
        return status;
    }

    private Path file(String path) {
        return folder(BlobPaths.safe(path));
    }

    private Path folder(String path) {
        // Not new Path(root, path): that reads what stands before a colon as a scheme.
        URI uri = root.toUri();
        String base = root.isRoot() ? "/" : uri.getPath() + "/";
        return path.isEmpty() ? root : new Path(uri.getScheme(), uri.getAuthority(), base + path);
    }

    /** The body may close it; whether the file becomes visible is decided after the body. */
    private static final class NotClosed extends FilterOutputStream {
        NotClosed(OutputStream out) {
            super(out);
        }

        @Override
        public void write(byte[] b, int off, int len) throws IOException {
            out.write(b, off, len);
        }

        @Override
        public void close() {}
    }
}
