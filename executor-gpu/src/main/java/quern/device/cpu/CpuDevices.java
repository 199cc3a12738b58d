package quern.device.cpu;

import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.device.Device;
import quern.tensor.DType;

/** Opens the devices of this package. */
public final class CpuDevices {
    private static final Logger LOG = LoggerFactory.getLogger(CpuDevices.class);

    private CpuDevices() {}

    /**
     * oneDNN and LAPACK where they load; else the plain path, which says so by its name and type.
     *
     * @param computeType F32, BF16, or none for the fastest that the processor has
     */
    public static Device cpu(@Nullable DType computeType) {
        Throwable failure = Loading.FAILURE;
        if (failure != null) {
            return plain();
        }
        DType type = computeType == null ? Natives.computeType() : computeType;
        if (type != DType.F32 && type != DType.BF16) {
            throw new IllegalArgumentException("The CPU computes in F32 or BF16, not " + type);
        }
        return new CpuDevice(type, Natives.type(type));
    }

    /** Plain Java. */
    public static Device plain() {
        return new JavaDevice();
    }

    /** Loads once; a failure is kept, since a second attempt would fail with a less telling error. */
    private static final class Loading {
        static final @Nullable Throwable FAILURE = attempt();

        private static @Nullable Throwable attempt() {
            try {
                Natives.load();
                return null;
            } catch (LinkageError | RuntimeException e) {
                LOG.warn("oneDNN and OpenBLAS do not load; the CPU device computes in plain Java: {}", e.toString());
                return e;
            }
        }
    }
}
