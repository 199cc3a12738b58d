package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuMemAlloc;
import static jcuda.driver.JCudaDriver.cuMemFree;
import static jcuda.driver.JCudaDriver.cuMemGetInfo;

import java.util.LinkedHashSet;
import java.util.Set;
import jcuda.driver.CUresult;

/**
 * The memory of one GPU that this process takes: a share of what was free when it was first asked for, or what the system property
 * {@code quern.cuda.memory} says in bytes, for those who share a GPU with something else. Arenas cut it up.
 */
final class DeviceMemory implements Arena.Chunks {
    /** The rest is for what libraries and the driver take beside. */
    private static final double SHARE = 0.9;

    private final Gpu gpu;
    private final Set<Arena> arenas = new LinkedHashSet<>(); // guarded by this, as all else
    private final long limit;
    private long held;

    DeviceMemory(Gpu gpu) {
        this.gpu = gpu;
        gpu.enter();
        long[] free = new long[1];
        gpu.check(cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
        limit = Long.getLong("quern.cuda.memory", (long) (SHARE * free[0]));
    }

    synchronized Arena arena() {
        Arena arena = new Arena(this);
        arenas.add(arena);
        return arena;
    }

    synchronized void close(Arena arena) {
        arena.close();
        arenas.remove(arena);
    }

    @Override
    public synchronized long take(long bytes) {
        if (held + bytes > limit) {
            return 0;
        }
        gpu.enter();
        Address address = new Address();
        int status = cuMemAlloc(address, bytes);
        if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
            return 0; // others have it
        }
        gpu.check(status, "cuMemAlloc");
        held += bytes;
        return address.value();
    }

    @Override
    public synchronized void giveBack(long address, long bytes) {
        held -= bytes;
        if (!gpu.isLost()) {
            gpu.settle(); // work on it may still be under way
            gpu.check(cuMemFree(new Address(address)), "cuMemFree");
        }
    }

    @Override
    public synchronized boolean reclaim(Arena asking) {
        boolean any = false;
        for (Arena arena : arenas) {
            any |= arena != asking && arena.giveBackFreeChunks();
        }
        return any;
    }

    @Override
    public synchronized long held() {
        return held;
    }

    @Override
    public long limit() {
        return limit;
    }
}
