package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuCtxSetCurrent;
import static jcuda.driver.JCudaDriver.cuCtxSynchronize;
import static jcuda.driver.JCudaDriver.cuDeviceGet;
import static jcuda.driver.JCudaDriver.cuDeviceGetAttribute;
import static jcuda.driver.JCudaDriver.cuDeviceGetName;
import static jcuda.driver.JCudaDriver.cuDeviceGetUuid;
import static jcuda.driver.JCudaDriver.cuDevicePrimaryCtxRetain;

import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.CUuuid;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceException;
import quern.device.DeviceLost;

/**
 * One GPU as this process has it: its context, its memory, its kernels, and whether it is still there. The context is the GPU's primary
 * one, kept for the life of the process; every way in makes it current on the calling thread first, for a thread of a pool may never
 * have had one.
 *
 * <p>Some errors spoil a context for good (a kernel that touched memory that is not its own, an uncorrectable bit): each call after
 * it fails, whoever makes it. The first one that is seen is kept, and all further work is refused with it.
 */
final class Gpu {
    private static final Map<Integer, Gpu> OPEN = new HashMap<>();

    /** After these a context answers every call with the same error. */
    private static final Set<Integer> STICKY = Set.of(
            CUresult.CUDA_ERROR_DEVICE_UNAVAILABLE,
            CUresult.CUDA_ERROR_ECC_UNCORRECTABLE,
            CUresult.CUDA_ERROR_NVLINK_UNCORRECTABLE,
            CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,
            CUresult.CUDA_ERROR_LAUNCH_TIMEOUT,
            CUresult.CUDA_ERROR_CONTEXT_IS_DESTROYED,
            CUresult.CUDA_ERROR_ASSERT,
            CUresult.CUDA_ERROR_HARDWARE_STACK_ERROR,
            CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION,
            CUresult.CUDA_ERROR_MISALIGNED_ADDRESS,
            CUresult.CUDA_ERROR_INVALID_ADDRESS_SPACE,
            CUresult.CUDA_ERROR_INVALID_PC,
            CUresult.CUDA_ERROR_LAUNCH_FAILED,
            CUresult.CUDA_ERROR_SYSTEM_NOT_READY,
            CUresult.CUDA_ERROR_UNKNOWN);

    private final int ordinal;
    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final String name;
    private final DeviceMemory memory;
    private final Launcher launcher;
    private volatile @Nullable String lost;

    private Gpu(int ordinal) {
        this.ordinal = ordinal;
        check(cuDeviceGet(device, ordinal), "cuDeviceGet");
        byte[] text = new byte[256];
        check(cuDeviceGetName(text, text.length, device), "cuDeviceGetName");
        name = new String(text, StandardCharsets.UTF_8).split("\0", 2)[0].strip();
        CUuuid uuid = new CUuuid();
        uuid.bytes = new byte[16];
        check(cuDeviceGetUuid(uuid, device), "cuDeviceGetUuid");
        Claim.on(HexFormat.of().formatHex(uuid.bytes), "GPU " + ordinal + " (" + name + ")");
        check(cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
        memory = new DeviceMemory(this);
        launcher = new Launcher(this, NativeResources.kernels());
    }

    /** A GPU by its number among those that this process sees; {@link DeviceException} where it has no such. */
    static synchronized Gpu of(int ordinal) {
        Gpu open = OPEN.get(ordinal);
        if (open == null) {
            String absence = Driver.absence();
            if (absence != null) {
                throw new DeviceException(absence);
            }
            if (ordinal >= Driver.devices()) {
                throw new DeviceException("there is no GPU " + ordinal + " among the " + Driver.devices()
                        + " that this process sees; CUDA_VISIBLE_DEVICES is "
                        + System.getenv().getOrDefault("CUDA_VISIBLE_DEVICES", "not set"));
            }
            open = new Gpu(ordinal);
            OPEN.put(ordinal, open);
        }
        return open;
    }

    /** As the driver calls it: {@code NVIDIA H200}. */
    String name() {
        return name;
    }

    /** {@code sm_90}. */
    String architecture() {
        return "sm_" + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    }

    int multiprocessors() {
        return attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    }

    private int attribute(int number) {
        int[] value = new int[1];
        check(cuDeviceGetAttribute(value, number, device), "cuDeviceGetAttribute");
        return value[0];
    }

    DeviceMemory memory() {
        return memory;
    }

    Launcher launcher() {
        return launcher;
    }

    /** Makes the context current on this thread; {@link DeviceLost} where the GPU is lost. */
    void enter() {
        refuseIfLost();
        check(cuCtxSetCurrent(context), "cuCtxSetCurrent");
    }

    boolean isLost() {
        return lost != null;
    }

    private void refuseIfLost() {
        String reason = lost;
        if (reason != null) {
            throw new DeviceLost(reason);
        }
    }

    /** Throws what a call's status means; {@link DeviceLost} where nothing more can be done here. */
    void check(int status, String call) {
        if (status == CUresult.CUDA_SUCCESS) {
            return;
        }
        String failure = Driver.failure(status, call);
        if (STICKY.contains(status)) {
            throw lost(failure);
        }
        throw new DeviceException("GPU " + ordinal + " (" + name + ") failed: " + failure);
    }

    private synchronized DeviceLost lost(String failure) {
        if (lost == null) {
            lost = "GPU " + ordinal + " (" + name + ") is lost to this process: " + failure
                    + " (the work has to be done again by another process)";
        }
        return new DeviceLost(lost);
    }

    /** What a library's failure comes from: where the context itself is spoiled, that is the reason. */
    DeviceException because(DeviceException failure) {
        if (failure instanceof DeviceLost) {
            return failure;
        }
        int status = cuCtxSynchronize();
        if (STICKY.contains(status)) {
            DeviceException lost = lost(failure.getMessage() + "; " + Driver.failure(status, "cuCtxSynchronize"));
            lost.addSuppressed(failure);
            return lost;
        }
        return failure;
    }

    /** Waits for everything that was begun on this GPU. */
    void settle() {
        enter();
        check(cuCtxSynchronize(), "cuCtxSynchronize");
    }
}
