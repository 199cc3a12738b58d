package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuEventCreate;
import static jcuda.driver.JCudaDriver.cuEventDestroy;
import static jcuda.driver.JCudaDriver.cuEventSynchronize;

import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;

/** A point in a stream's work that others can wait for. One that was never recorded has happened. */
final class Event implements AutoCloseable {
    private final Gpu gpu;
    private final CUevent handle = new CUevent();

    Event(Gpu gpu) {
        this.gpu = gpu;
        gpu.check(cuEventCreate(handle, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    }

    CUevent handle() {
        return handle;
    }

    /** Waits on this thread. */
    void await() {
        gpu.check(cuEventSynchronize(handle), "cuEventSynchronize");
    }

    @Override
    public void close() {
        if (!gpu.isLost()) {
            cuEventDestroy(handle);
        }
    }
}
