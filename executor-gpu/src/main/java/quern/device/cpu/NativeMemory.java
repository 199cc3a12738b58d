package quern.device.cpu;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceException;

/**
 * Blocks outside of the heap, aligned to a cache line, and how many bytes of them are alive. A forward pass asks for the same
 * few sizes again and again: blocks that were closed are kept for the next that asks for just as much, since memory fresh
 * from the system costs a page fault for every 4 KiB. Of what is kept, sizes that were not asked for longest go first.
 */
final class NativeMemory implements AutoCloseable {
    private static final long ALIGNMENT = 64;
    /** Smaller ones are as quick from malloc. */
    private static final long SMALLEST_KEPT = 64 << 10;
    /** What is kept at most. */
    private static final long MOST_KEPT = 128L << 20;

    private final AtomicLong live = new AtomicLong();
    /** By size, the one used last at the end; guarded by itself. */
    private final Map<Long, Deque<Pointer>> closed = new LinkedHashMap<>(16, 0.75f, true);

    private long kept; // guarded by closed

    /** Owned by whoever asked for it. */
    final class Block implements AutoCloseable {
        private final Pointer allocation;
        private final long bytes;
        private final Address start;
        private boolean closed;

        private Block(long bytes, boolean zeroed) {
            long whole = bytes + ALIGNMENT;
            Pointer again = keptBlock(bytes);
            if (again != null && zeroed) {
                Pointer.memset(again, 0, whole);
            }
            allocation = again != null ? again : zeroed ? Pointer.calloc(whole, 1) : Pointer.malloc(whole);
            if (allocation == null || allocation.isNull()) {
                throw new DeviceException("No native memory for " + bytes + " bytes; " + live.get() + " are in use");
            }
            this.bytes = bytes;
            start = Address.of((allocation.address() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
            live.addAndGet(bytes);
        }

        Address address() {
            if (closed) {
                throw new IllegalStateException("This native memory was closed");
            }
            return start;
        }

        @Override
        public void close() {
            if (!closed) {
                closed = true;
                live.addAndGet(-bytes);
                if (bytes < SMALLEST_KEPT) {
                    Pointer.free(allocation);
                } else {
                    keep(allocation, bytes);
                }
            }
        }
    }

    private void keep(Pointer block, long bytes) {
        synchronized (closed) {
            closed.computeIfAbsent(bytes, size -> new ArrayDeque<>()).push(block);
            kept += bytes;
            letGo(MOST_KEPT);
        }
    }

    private @Nullable Pointer keptBlock(long bytes) {
        synchronized (closed) {
            Deque<Pointer> blocks = closed.get(bytes);
            Pointer block = blocks == null ? null : blocks.poll();
            if (block != null) {
                kept -= bytes;
            }
            return block;
        }
    }

    private void letGo(long most) {
        var sizes = closed.entrySet().iterator();
        while (kept > most && sizes.hasNext()) {
            Map.Entry<Long, Deque<Pointer>> size = sizes.next();
            while (kept > most && !size.getValue().isEmpty()) {
                Pointer.free(size.getValue().removeLast());
                kept -= size.getKey();
            }
            if (size.getValue().isEmpty()) {
                sizes.remove();
            }
        }
    }

    /** Gives back what is kept; blocks that are alive stay. */
    @Override
    public void close() {
        synchronized (closed) {
            letGo(0);
        }
    }

    Block allocate(long bytes) {
        return new Block(bytes, false);
    }

    Block zeros(long bytes) {
        return new Block(bytes, true);
    }

    /** Bytes of blocks that have not been closed. */
    long liveBytes() {
        return live.get();
    }
}
