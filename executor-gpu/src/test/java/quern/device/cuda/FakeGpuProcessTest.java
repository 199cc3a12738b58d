package quern.device.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;

/** What a process of its own finds: which libraries there are is settled before it begins. */
class FakeGpuProcessTest {
    @TempDir
    Path folder;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    /** Opens the device and says what it is, or why there is none. */
    static final class Opening {
        private Opening() {}

        public static void main(String[] none) {
            Locale.setDefault(Locale.ROOT);
            for (int i = 0; i < 2; i++) { // the second time the same
                try (Device device = Devices.open("cuda")) {
                    System.out.println(device.type());
                } catch (RuntimeException e) {
                    System.out.println(e.getMessage());
                }
            }
        }
    }

    /** Opens the device, says so, and keeps it until its input ends. */
    static final class Holding {
        private Holding() {}

        public static void main(String[] none) throws Exception {
            try (Device device = Devices.open("cuda")) {
                System.out.println("holds " + device.name());
                System.in.read();
            }
        }
    }

    private Process java(Class<?> program, Map<String, String> environment, String... options) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path")));
        command.addAll(List.of(options));
        command.add(program.getName());
        ProcessBuilder process = new ProcessBuilder(command);
        process.environment().put("LD_LIBRARY_PATH", folder.toString());
        process.environment().putAll(environment);
        process.redirectError(folder.resolve("errors").toFile());
        return process.start();
    }

    private String opened(Map<String, String> environment, String... libraries) throws Exception {
        link(libraries);
        return opened(environment, List.of("-Dquern.gpu.shared=true"));
    }

    private void link(String... libraries) throws Exception {
        for (String library : libraries) {
            Files.createSymbolicLink(
                    folder.resolve(library), FakeGpu.FOLDER.toAbsolutePath().resolve(library));
        }
    }

    private String opened(Map<String, String> environment, List<String> options) throws Exception {
        Process running = java(Opening.class, environment, options.toArray(String[]::new));
        String text = new String(running.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(running.waitFor())
                .as(Files.readString(folder.resolve("errors")))
                .isZero();
        String[] lines = text.strip().split("\n");
        assertThat(lines).hasSize(2);
        assertThat(lines[1]).isEqualTo(lines[0]);
        return lines[0];
    }

    @Test
    void without_a_driver_it_says_so() throws Exception {
        assertThat(opened(Map.of()))
                .isEqualTo("Cannot compute on 'cuda': the NVIDIA driver does not load: libcuda.so.1: cannot open "
                        + "shared object file: No such file or directory (use a machine with an NVIDIA GPU and its "
                        + "driver, or --device cpu)");
    }

    @Test
    void without_a_gpu_it_says_so() throws Exception {
        assertThat(opened(Map.of("FAKE_CUDA_DEVICES", "0"), "libcuda.so.1"))
                .contains("the NVIDIA driver sees no GPU (use a machine");
    }

    @Test
    void a_driver_that_does_not_begin_is_quoted() throws Exception {
        assertThat(opened(Map.of("FAKE_CUDA_FAIL", "cuInit:999"), "libcuda.so.1"))
                .contains("cuInit: ")
                .contains("(CUDA_ERROR_UNKNOWN, 999) (use a machine");
    }

    @Test
    void without_libraries_it_names_the_files() throws Exception {
        assertThat(opened(Map.of(), "libcuda.so.1"))
                .startsWith("Cannot compute on 'cuda': ")
                .contains("libcublas.so.13")
                .contains("libcublas.so.12")
                .endsWith("(mend that, or use --device cpu)");
    }

    @Test
    void cuda_12_will_do() throws Exception {
        assertThat(opened(Map.of(), "libcuda.so.1", "libcublas.so.12", "libcusolver.so.11"))
                .startsWith("cuda/bf16/Fake GPU (kernels run on the CPU)/sm_90/")
                .contains("/cublas-12.")
                .contains("/cusolver-11.");
    }

    @Test
    void cuda_13_is_taken_first() throws Exception {
        assertThat(opened(
                        Map.of(),
                        "libcuda.so.1",
                        "libcublas.so.12",
                        "libcusolver.so.11",
                        "libcublas.so.13",
                        "libcusolver.so.12"))
                .contains("/cublas-13.")
                .contains("/cusolver-12.");
    }

    @Test
    void a_gpu_is_one_process_s_until_it_ends_but_where_sharing_is_asked_for() throws Exception {
        link("libcuda.so.1", "libcublas.so.13", "libcusolver.so.12");
        String own = "-Djava.io.tmpdir=" + folder; // apart from what else runs on this machine
        Process first = java(Holding.class, Map.of(), own);
        try {
            assertThat(first.inputReader().readLine()).isEqualTo("holds cuda");
            assertThat(opened(Map.of(), List.of(own)))
                    .isEqualTo("Cannot compute on 'cuda': GPU 0 (Fake GPU (kernels run on the CPU)) is used by another process of "
                            + "Quern (give each executor a GPU of its own, or share it with -Dquern.gpu.shared=true in the JVM "
                            + "options of all) (mend that, or use --device cpu)");
            assertThat(opened(Map.of(), List.of(own, "-Dquern.gpu.shared=true"))).startsWith("cuda/bf16/Fake GPU");
        } finally {
            first.outputWriter().close();
        }
        assertThat(first.waitFor()).isZero();
        assertThat(opened(Map.of(), List.of(own))).startsWith("cuda/bf16/Fake GPU");
    }
}
