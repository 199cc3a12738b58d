package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuDeviceGetCount;
import static jcuda.driver.JCudaDriver.cuDriverGetVersion;
import static jcuda.driver.JCudaDriver.cuGetErrorName;
import static jcuda.driver.JCudaDriver.cuGetErrorString;
import static jcuda.driver.JCudaDriver.cuInit;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jcuda.driver.CUresult;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceException;

/**
 * The NVIDIA driver of this machine. Looked for once in a process: a second attempt to load would fail with a less telling error.
 *
 * <p>All that Quern calls of it: cuInit, cuDriverGetVersion, cuGetErrorName, cuGetErrorString; cuDeviceGet, -GetCount, -GetName, -GetUuid,
 * -GetAttribute, cuDevicePrimaryCtxRetain; cuCtxSetCurrent, cuCtxSynchronize; cuModuleLoadData, -GetFunction, cuFuncSetAttribute,
 * cuLaunchKernel; cuStreamCreate, -Destroy, -Synchronize, -WaitEvent; cuEventCreate, -Record, -Synchronize, -Destroy; cuMemAlloc,
 * cuMemFree, cuMemGetInfo, cuMemHostAlloc, cuMemFreeHost, cuMemcpyHtoDAsync, -DtoHAsync, -DtoDAsync, cuMemcpy2DAsync,
 * cuMemsetD8Async.
 */
final class Driver {
    private static final Pattern MISSING = Pattern.compile("(libcuda[^\\n]*)");

    private Driver() {}

    /** Why nothing can be computed through a driver here; null if there is one and it has a GPU. */
    static @Nullable String absence() {
        return Loading.FAILURE;
    }

    /** GPUs that this process sees: those of CUDA_VISIBLE_DEVICES, numbered from 0, if it is set. */
    static int devices() {
        int[] count = new int[1];
        check(cuDeviceGetCount(count), "cuDeviceGetCount");
        return count[0];
    }

    /** The newest CUDA that the driver knows, such as 12.8. */
    static String version() {
        int[] version = new int[1];
        check(cuDriverGetVersion(version), "cuDriverGetVersion");
        return version[0] / 1000 + "." + version[0] % 1000 / 10;
    }

    private static void check(int status, String call) {
        if (status != CUresult.CUDA_SUCCESS) {
            throw new DeviceException(failure(status, call));
        }
    }

    /** What a call answered: {@code cuMemAlloc: out of memory (CUDA_ERROR_OUT_OF_MEMORY, 2)}. */
    static String failure(int status, String call) {
        String[] name = {null};
        String[] text = {null};
        cuGetErrorName(status, name);
        cuGetErrorString(status, text);
        return call + ": " + (text[0] == null ? "unknown error" : text[0]) + " ("
                + (name[0] == null ? "" : name[0] + ", ") + status + ")";
    }

    private static final class Loading {
        static final @Nullable String FAILURE = attempt();

        private static @Nullable String attempt() {
            try {
                placeLibrary();
                int status = cuInit(0);
                if (status != CUresult.CUDA_SUCCESS) {
                    return failure(status, "cuInit");
                }
                return devices() == 0 ? "the NVIDIA driver sees no GPU" : null;
            } catch (LinkageError e) {
                Matcher missing = MISSING.matcher(String.valueOf(e.getMessage()));
                return missing.find()
                        ? "the NVIDIA driver does not load: " + missing.group(1).strip()
                        : "JCuda has no library for " + System.getProperty("os.name") + " on "
                                + System.getProperty("os.arch");
            } catch (IOException e) {
                return "JCuda's library could not be written to " + System.getProperty("java.io.tmpdir") + ": "
                        + e.getMessage();
            }
        }
    }

    /**
     * JCuda takes whatever file stands under the library's name in the folder for temporary files, and else writes it there in
     * place, so that of two processes that begin together one may load half a file. Here it gets its name when it is whole.
     */
    private static void placeLibrary() throws IOException {
        String name = "libJCudaDriver-" + jcuda.JCudaVersion.get() + "-linux-x86_64.so";
        Path folder = Path.of(System.getProperty("java.io.tmpdir", "/tmp"));
        try (InputStream library = Driver.class.getResourceAsStream("/lib/" + name)) {
            if (library == null) {
                return; // another platform: JCuda says so
            }
            byte[] bytes = library.readAllBytes();
            Path place = folder.resolve(name);
            if (Files.exists(place) && Files.size(place) == bytes.length) {
                return;
            }
            Path whole = Files.createTempFile(folder, name, ".new");
            Files.write(whole, bytes);
            Files.move(whole, place, StandardCopyOption.ATOMIC_MOVE);
        }
    }
}
