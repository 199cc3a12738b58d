package quern.device;

import static org.junit.jupiter.api.Assumptions.abort;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** The libraries of module native that play a GPU: libcuda, cuBLAS and cuSOLVER over the host's memory, kernels on the CPU. */
public final class FakeGpu {
    /** Where they are; surefire puts the folder in front of LD_LIBRARY_PATH. */
    public static final Path FOLDER = Path.of(System.getProperty("quern.fakes", "../native/target/cmake/fake"));

    private FakeGpu() {}

    /**
     * Tells the fake driver what it is to do from now on: {@code FAKE_CUDA_FAIL=cuLaunchKernel:719:100}. It takes its settings as the
     * image of a module. A device must have been opened on this thread.
     */
    public static void tell(String setting) {
        byte[] image = ("QUERN FAKE " + setting + "\0").getBytes(StandardCharsets.UTF_8);
        int status = JCudaDriver.cuModuleLoadData(new CUmodule(), image);
        if (status != CUresult.CUDA_SUCCESS) {
            throw new IllegalStateException("The fake driver answers " + status + " to " + setting);
        }
    }

    /** Skips a test where they were not built. */
    public static void assumeBuilt() {
        if (!Files.exists(FOLDER.resolve("libcuda.so.1"))) {
            skip("the libraries that play a GPU are not in " + FOLDER
                    + " (they are built with module native, on Linux with CMake and a C++ compiler)");
        }
    }

    /** Skips the tests of a class, and says so: Maven's own report has no word of a class whose tests never began. */
    static void skip(String reason) {
        System.out.println("Skipped: " + reason);
        abort("Skipped: " + reason);
    }
}
