package quern.device.cuda;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceOutOfMemory;

/**
 * Blocks cut out of large chunks of device memory, since the driver's own allocation waits for all work and a forward pass asks for
 * thousands of matrices. The smallest piece that is large enough is taken; pieces that are free side by side become one again. Nothing
 * is ever written to a block here: what it held before is still in it.
 *
 * <p>A block that was closed may be given out again at once. That is sound because all blocks of an arena are used on one stream: work
 * on the new block comes after work on the old one.
 */
final class Arena implements AutoCloseable {
    /** Blocks begin at multiples of it: what cuBLAS wants of a workspace, and more than any kernel. */
    static final long ALIGNMENT = 256;
    /** A chunk is no smaller, if there is as much. */
    static final long CHUNK = 256L << 20;

    private static final long LARGE = 2L << 20; // larger blocks' chunks are multiples of it

    /** Where chunks come from; also the lock of all arenas that share it. */
    interface Chunks {
        /** The address of a new chunk, a multiple of {@link #ALIGNMENT}; 0 where there is not as much. */
        long take(long bytes);

        void giveBack(long address, long bytes);

        /** Takes free chunks from other arenas; false if there were none. */
        boolean reclaim(Arena asking);

        /** Bytes of all arenas' chunks, and the most that it may become. */
        long held();

        long limit();
    }

    private static final class Chunk {
        final long address;
        final long bytes;

        Chunk(long address, long bytes) {
            this.address = address;
            this.bytes = bytes;
        }
    }

    /** A run of bytes, free or a block; its neighbours are those of the same chunk. */
    private static final class Piece {
        final Chunk chunk;
        final long address;
        long bytes;
        boolean free;

        @Nullable
        Piece before;

        @Nullable
        Piece after;

        Piece(Chunk chunk, long address, long bytes) {
            this.chunk = chunk;
            this.address = address;
            this.bytes = bytes;
        }
    }

    private final Chunks chunks;
    /** The free pieces, the smallest first; guarded by chunks, as all else here. */
    private final TreeSet<Piece> free =
            new TreeSet<>(Comparator.<Piece>comparingLong(p -> p.bytes).thenComparingLong(p -> p.address));

    private final List<Chunk> own = new ArrayList<>();
    private long live;
    private volatile boolean closed;

    Arena(Chunks chunks) {
        this.chunks = chunks;
    }

    /** Owned by whoever asked for it. */
    final class Block implements AutoCloseable {
        private final Piece piece;
        private volatile boolean gone;

        private Block(Piece piece) {
            this.piece = piece;
        }

        long address() {
            if (gone || closed) {
                throw new IllegalStateException("This device memory was closed");
            }
            return piece.address;
        }

        @Override
        public void close() {
            synchronized (chunks) {
                if (!gone) {
                    gone = true;
                    live -= piece.bytes;
                    release(piece);
                }
            }
        }
    }

    /** Undefined content. */
    Block allocate(long bytes) {
        long rounded = Math.max(1, (bytes + ALIGNMENT - 1) / ALIGNMENT) * ALIGNMENT;
        synchronized (chunks) {
            if (closed) {
                throw new IllegalStateException("This device was closed");
            }
            Piece piece = find(rounded);
            if (piece == null && giveBackFreeChunks()) {
                piece = find(rounded);
            }
            if (piece == null && chunks.reclaim(this)) {
                piece = find(rounded);
            }
            if (piece == null) {
                throw new DeviceOutOfMemory(
                        ("No memory on the GPU for %s: matrices hold %s, %s more are free in pieces, "
                                        + "and this process may have %s in all (shorter sequences, fewer tasks at a time on this "
                                        + "GPU or a GPU with more memory would do)")
                                .formatted(text(bytes), text(live), text(chunks.held() - live), text(chunks.limit())));
            }
            live += piece.bytes;
            return new Block(piece);
        }
    }

    private @Nullable Piece find(long bytes) {
        Piece piece = free.ceiling(new Piece(new Chunk(0, 0), 0, bytes));
        if (piece == null) {
            piece = fresh(bytes);
        }
        if (piece == null) {
            return null;
        }
        free.remove(piece);
        piece.free = false;
        if (piece.bytes > bytes) {
            Piece rest = new Piece(piece.chunk, piece.address + bytes, piece.bytes - bytes);
            rest.after = piece.after;
            rest.before = piece;
            if (rest.after != null) {
                rest.after.before = rest;
            }
            piece.after = rest;
            piece.bytes = bytes;
            rest.free = true;
            free.add(rest);
        }
        return piece;
    }

    private @Nullable Piece fresh(long bytes) {
        long whole = (bytes + LARGE - 1) / LARGE * LARGE;
        for (long size : new long[] {Math.max(CHUNK, whole), whole, bytes}) {
            long address = chunks.take(size);
            if (address != 0) {
                Chunk chunk = new Chunk(address, size);
                own.add(chunk);
                Piece piece = new Piece(chunk, address, size);
                piece.free = true;
                free.add(piece);
                return piece;
            }
        }
        return null;
    }

    private void release(Piece piece) {
        if (closed) {
            return;
        }
        Piece merged = piece;
        Piece before = piece.before;
        if (before != null && before.free) {
            free.remove(before);
            join(before, piece);
            merged = before;
        }
        Piece after = merged.after;
        if (after != null && after.free) {
            free.remove(after);
            join(merged, after);
        }
        merged.free = true;
        free.add(merged);
    }

    private static void join(Piece first, Piece second) {
        first.bytes += second.bytes;
        first.after = second.after;
        if (first.after != null) {
            first.after.before = first;
        }
    }

    /** Gives back the chunks of which nothing is in use; false if there were none. */
    boolean giveBackFreeChunks() {
        boolean any = false;
        for (Iterator<Piece> pieces = free.iterator(); pieces.hasNext(); ) {
            Piece piece = pieces.next();
            if (piece.bytes == piece.chunk.bytes) {
                pieces.remove();
                own.remove(piece.chunk);
                chunks.giveBack(piece.chunk.address, piece.chunk.bytes);
                any = true;
            }
        }
        return any;
    }

    /** Bytes of blocks that have not been closed. */
    long liveBytes() {
        synchronized (chunks) {
            return live;
        }
    }

    /** Gives everything back; blocks that are alive cannot be used any more. */
    @Override
    public void close() {
        synchronized (chunks) {
            if (!closed) {
                closed = true;
                own.forEach(chunk -> chunks.giveBack(chunk.address, chunk.bytes));
                own.clear();
                free.clear();
            }
        }
    }

    private static String text(long bytes) {
        return bytes < 1 << 20 ? bytes + " bytes" : "%.1f MiB".formatted(bytes / 1048576.0);
    }
}
