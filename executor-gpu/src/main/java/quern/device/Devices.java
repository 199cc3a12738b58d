package quern.device;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.QuernException;
import quern.device.cpu.CpuDevices;
import quern.device.cuda.CudaDevices;
import quern.tensor.DType;

/** All devices by name. */
public final class Devices {
    private static final Logger LOG = LoggerFactory.getLogger(Devices.class);

    private static final Map<String, Function<@Nullable DType, Device>> ALL = new TreeMap<>(
            Map.of("cpu", CpuDevices::cpu, "cuda", CudaDevices::open, "java", computeType -> CpuDevices.plain()));

    private Devices() {}

    /** The name of the fastest device of this process: a GPU, where one opens. Why not, is told in the log. */
    public static String fastest() {
        try (Device gpu = CudaDevices.open(null)) {
            return gpu.name();
        } catch (QuernException e) {
            LOG.info("No GPU is used. {}", e.getMessage());
            return "cpu";
        }
    }

    /**
     * Says which GPU is this process's; else it is the first that the process sees.
     *
     * @param address as resource managers name it
     */
    public static void assignGpu(String address) {
        CudaDevices.assign(address);
    }

    /** Opens a device in its own compute type; {@link QuernException} for a name that is not known. */
    public static Device open(String name) {
        return open(name, null);
    }

    /**
     * Opens a device that computes in a given type.
     *
     * @param computeType F32 where exactness matters more than time; none for the device's own
     */
    public static Device open(String name, @Nullable DType computeType) {
        Function<@Nullable DType, Device> device = ALL.get(name);
        if (device == null) {
            throw new QuernException(
                    "Cannot compute on '" + name + "': there is no such device (use one of " + ALL.keySet() + ")");
        }
        return device.apply(computeType);
    }
}
