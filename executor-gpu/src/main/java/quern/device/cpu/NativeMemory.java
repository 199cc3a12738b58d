package quern.device.cpu;

import java.util.concurrent.atomic.AtomicLong;
import org.bytedeco.javacpp.Pointer;
import quern.device.DeviceException;

/** Blocks outside of the heap, aligned to a cache line, and how many bytes of them are alive. */
final class NativeMemory {
    private static final long ALIGNMENT = 64;

    private final AtomicLong live = new AtomicLong();

    /** Owned by whoever asked for it. */
    final class Block implements AutoCloseable {
        private final Pointer allocation;
        private final long bytes;
        private final Address start;
        private boolean closed;

        private Block(long bytes, boolean zeroed) {
            long whole = bytes + ALIGNMENT;
            allocation = zeroed ? Pointer.calloc(whole, 1) : Pointer.malloc(whole);
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
                Pointer.free(allocation);
            }
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
