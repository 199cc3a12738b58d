package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuMemFreeHost;
import static jcuda.driver.JCudaDriver.cuMemHostAlloc;

import jcuda.Pointer;

/** Memory of the host that stays where it is, so that the GPU can copy from and to it while something else goes on. */
final class HostMemory implements AutoCloseable {
    /** With the address that libraries want as a number. */
    private static final class Place extends Pointer {
        long value() {
            return getNativePointer() + getByteOffset();
        }
    }

    private final Gpu gpu;
    private final long bytes;
    private final Place place = new Place();

    /** The GPU's context is current. */
    HostMemory(Gpu gpu, long bytes) {
        this.gpu = gpu;
        this.bytes = bytes;
        if (bytes > 0) {
            gpu.check(cuMemHostAlloc(place, bytes, 0), "cuMemHostAlloc");
        }
    }

    Pointer pointer() {
        return place;
    }

    /** 0 where there are no bytes. */
    long address() {
        return place.value();
    }

    @Override
    public void close() {
        if (bytes > 0 && !gpu.isLost()) {
            cuMemFreeHost(place);
        }
    }
}
