package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuEventRecord;
import static jcuda.driver.JCudaDriver.cuStreamCreate;
import static jcuda.driver.JCudaDriver.cuStreamDestroy;
import static jcuda.driver.JCudaDriver.cuStreamSynchronize;
import static jcuda.driver.JCudaDriver.cuStreamWaitEvent;

import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;

/** Work in the order in which it was asked for, beside that of other streams. */
final class Stream implements AutoCloseable {
    /** With the handle that libraries want as a number. */
    private static final class Handle extends CUstream {
        long value() {
            return getNativePointer();
        }
    }

    private final Gpu gpu;
    private final Handle handle = new Handle();

    Stream(Gpu gpu) {
        this.gpu = gpu;
        gpu.enter();
        gpu.check(cuStreamCreate(handle, CUstream_flags.CU_STREAM_NON_BLOCKING), "cuStreamCreate");
    }

    CUstream handle() {
        return handle;
    }

    long number() {
        return handle.value();
    }

    /** The event happens when all that was asked for so far is done. */
    void record(Event event) {
        gpu.check(cuEventRecord(event.handle(), handle), "cuEventRecord");
    }

    /** What is asked for from now on begins after the event; at once where it was never recorded. */
    void await(Event event) {
        gpu.check(cuStreamWaitEvent(handle, event.handle(), 0), "cuStreamWaitEvent");
    }

    /** Waits on this thread for all that was asked for. */
    void settle() {
        gpu.enter();
        gpu.check(cuStreamSynchronize(handle), "cuStreamSynchronize");
    }

    @Override
    public void close() {
        if (!gpu.isLost()) {
            cuStreamDestroy(handle);
        }
    }
}
