package quern.device.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;

/** What the natives promise beyond the contract. */
class CpuDeviceTest {
    private static final boolean LINUX_ON_X86 = System.getProperty("os.name").equals("Linux")
            && System.getProperty("os.arch").equals("amd64");

    @BeforeEach
    void natives() {
        assumeTrue(LINUX_ON_X86, "The natives of this platform are not part of this test");
    }

    @Test
    void natives_load_and_say_what_they_are() {
        try (Device device = CpuDevices.cpu(null)) {
            assertThat(device.name()).isEqualTo("cpu");
            assertThat(device.type())
                    .startsWith("cpu/" + (device.computeType() == DType.BF16 ? "bf16" : "f32") + "/onednn-3.11.")
                    .doesNotContain("unknown");
        }
        assertThat(OneThread.hasOpenMp()).isTrue();
    }

    @Test
    void no_call_starts_threads_of_openmp() throws Exception {
        try (Device device = CpuDevices.cpu(null);
                DeviceMatrix x = device.zeros(512, 512, device.computeType());
                DeviceMatrix gram = device.zeros(512, 512, DType.F32)) {
            long before = nativeThreads();
            device.forward().addGram(x, gram);
            assertThat(device.solve().factor(gram)).isFalse();
            assertThat(nativeThreads()).isEqualTo(before);
        }
    }

    /** Threads of the JVM have names of their own; a native library's bear the name of the thread that started them. */
    private static long nativeThreads() throws IOException {
        String own = Files.readString(Path.of("/proc/thread-self/comm"));
        try (var tasks = Files.list(Path.of("/proc/self/task"))) {
            return tasks.filter(task -> nameOf(task).equals(own)).count();
        }
    }

    private static String nameOf(Path task) {
        try {
            return Files.readString(task.resolve("comm"));
        } catch (IOException e) {
            return "";
        }
    }

    @Test
    void kernels_leave_no_memory_behind() {
        CpuDevice device = (CpuDevice) CpuDevices.cpu(null);
        try (device) {
            ForwardKernels f = device.forward();
            AttentionShape shape = new AttentionShape(140, 2, 1, 32, 32, 0.2f, 0);
            try (DeviceMatrix x = device.zeros(280, 64, DType.F32);
                    DeviceMatrix k = device.zeros(280, 32, DType.F32);
                    DeviceMatrix row = device.zeros(1, 64, DType.F32);
                    DeviceMatrix w = f.prepare(x);
                    DeviceMatrix table = device.zeros(140, 16, DType.F32);
                    DeviceMatrix gram = device.zeros(64, 64, DType.F32)) {
                long before = device.memory().liveBytes();
                f.linear(x, w, null, DType.F32).close();
                f.rmsNorm(x, row, 64, 1e-5f, 1, device.computeType()).close();
                f.rmsNorm(x, row, 32, 1e-5f, 1, device.computeType()).close();
                f.layerNorm(x, row, row, 64, 1e-5f, device.computeType()).close();
                f.layerNorm(x, row, row, 32, 1e-5f, device.computeType()).close();
                f.scale(x, 2, DType.F32).close();
                f.rows(x, new int[] {3, 4, 1}).close();
                f.rotary(x, table, table, 32, false, device.computeType()).close();
                f.attention(x, k, k, shape, DType.F32).close();
                f.activate(Activation.SILU, x, x, DType.F32).close();
                f.add(x, x).close();
                f.addGram(x, gram);
                device.solve().factor(gram);
                device.download(gram);
                assertThat(device.memory().liveBytes()).isEqualTo(before);
            }
            assertThat(device.memory().liveBytes()).isZero();
        }
    }
}
