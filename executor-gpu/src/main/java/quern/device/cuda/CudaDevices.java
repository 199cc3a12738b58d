package quern.device.cuda;

import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceException;
import quern.tensor.DType;

/** Opens the device of this package. */
public final class CudaDevices {
    private static @Nullable String given; // guarded by the class

    private CudaDevices() {}

    /**
     * The GPU of this process.
     *
     * @param computeType BF16 or F32; none for BF16
     * @throws QuernException which says what is missing
     */
    public static Device open(@Nullable DType computeType) {
        DType type = computeType == null ? DType.BF16 : computeType;
        if (type != DType.F32 && type != DType.BF16) {
            throw new IllegalArgumentException("A GPU computes in F32 or BF16, not " + type);
        }
        String absence = absence();
        if (absence != null) {
            throw new QuernException("Cannot compute on 'cuda': " + absence);
        }
        try {
            return CudaDevice.open(Gpu.of(ordinal()), type);
        } catch (DeviceException e) {
            throw new QuernException(
                    "Cannot compute on 'cuda': " + e.getMessage() + " (mend that, or use --device cpu)", e);
        }
    }

    /** Why there can be no such device in this process, and what would do; null if nothing is known that is against it. */
    public static @Nullable String absence() {
        String driver = Driver.absence();
        if (driver != null) {
            return driver + " (use a machine with an NVIDIA GPU and its driver, or --device cpu)";
        }
        String kernels = NativeResources.absence();
        return kernels == null ? null : kernels + " (use a build with kernels, or --device cpu)";
    }

    /**
     * Says which GPU is this process's; without it, it is the first that the process sees.
     *
     * @param address as resource managers name it: a number, or a UUID as in CUDA_VISIBLE_DEVICES
     * @throws QuernException for another one than before: what is opened stays on its GPU
     */
    public static synchronized void assign(String address) {
        if (given != null && !given.equals(address)) {
            throw new QuernException("Cannot use GPU " + address + " in a process that computes on GPU " + given
                    + " (give each executor one GPU: spark.executor.resource.gpu.amount=1)");
        }
        given = address;
    }

    private static synchronized int ordinal() {
        return given == null ? 0 : ordinal(given, System.getenv("CUDA_VISIBLE_DEVICES"));
    }

    /**
     * CUDA numbers the GPUs that a process sees from 0 on.
     *
     * @param visible CUDA_VISIBLE_DEVICES: their addresses in that order; null if it is not set
     */
    static int ordinal(String address, @Nullable String visible) {
        if (visible != null) {
            String[] addresses = visible.split(",");
            for (int i = 0; i < addresses.length; i++) {
                if (addresses[i].strip().equals(address)) {
                    return i;
                }
            }
        }
        try {
            return Integer.parseInt(address);
        } catch (NumberFormatException e) {
            throw new QuernException(
                    "Cannot find GPU '" + address + "': it is no number, and CUDA_VISIBLE_DEVICES does not name it", e);
        }
    }
}
