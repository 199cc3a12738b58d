package quern.device;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** The libraries of module native that play a GPU: libcuda, cuBLAS and cuSOLVER over the host's memory, kernels on the CPU. */
public final class FakeGpu {
    /** Where they are; surefire puts the folder in front of LD_LIBRARY_PATH. */
    public static final Path FOLDER = Path.of(System.getProperty("quern.fakes", "../native/target/cmake/fake"));

    private FakeGpu() {}

    /** Skips a test where they were not built. */
    public static void assumeBuilt() {
        assumeTrue(
                Files.exists(FOLDER.resolve("libcuda.so.1")),
                "Skipped: the libraries that play a GPU are not in " + FOLDER
                        + " (they are built with module native, on Linux with CMake and a C++ compiler)");
    }
}
