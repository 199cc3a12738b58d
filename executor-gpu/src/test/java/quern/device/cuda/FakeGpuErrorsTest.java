package quern.device.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.Seeds;
import quern.device.DeviceException;
import quern.device.DeviceLost;
import quern.device.DeviceMatrix;
import quern.device.DeviceOutOfMemory;
import quern.device.FakeGpu;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** What happens when something goes wrong, on libraries that play as many GPUs as are asked for and fail when they are told to. */
class FakeGpuErrorsTest {
    /** Every lost GPU is another one: this process cannot use it again. */
    private static int nextGpu = 1;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
        tell("FAKE_CUDA_DEVICES=20");
    }

    @AfterEach
    void no_more_failures() {
        tell("FAKE_CUDA_FAIL=");
        tell("FAKE_CUDA_MEMORY=1073741824");
    }

    private static void tell(String setting) {
        Gpu.of(0).enter();
        FakeGpu.tell(setting);
    }

    private static CudaDevice open(int gpu) {
        return CudaDevice.open(Gpu.of(gpu), DType.BF16);
    }

    private static Matrix random(int rows, int cols) {
        Random random = new Random(Seeds.seed());
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }

    @Test
    void a_bad_image_is_refused_with_the_driver_s_words() {
        assertThatThrownBy(() -> new Launcher(Gpu.of(0), new byte[64]))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("cuModuleLoadData")
                .hasMessageContaining("CUDA_ERROR_INVALID_IMAGE, 200");
    }

    @Test
    void a_kernel_that_is_not_in_the_image_has_a_name_in_the_message() {
        Launcher launcher = new Launcher(Gpu.of(0), NativeResources.kernels());
        try (Stream stream = new Stream(Gpu.of(0))) {
            assertThatThrownBy(() -> launcher.launch(stream, "no_such_kernel", Launcher.Geometry.rows(1)))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("no_such_kernel");
        }
    }

    @Test
    void a_gpu_that_is_not_there_is_refused() {
        assertThatThrownBy(() -> Gpu.of(20))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("there is no GPU 20 among the 20");
    }

    @ParameterizedTest
    @CsvSource({
        "cuMemHostAlloc:2",
        "cuStreamCreate:2",
        "cuEventCreate:999999",
        "cublasCreate_v2:3",
        "cusolverDnCreate:1"
    })
    void a_device_that_does_not_open_leaves_no_memory_behind(String failure) {
        int gpu = nextGpu++;
        tell("FAKE_CUDA_FAIL=" + failure);
        assertThatThrownBy(() -> open(gpu)).isInstanceOf(DeviceException.class);
        tell("FAKE_CUDA_FAIL=");
        assertThat(Gpu.of(gpu).memory().held()).isZero();
        open(gpu).close();
    }

    @Test
    void memory_that_runs_out_is_a_sentence_and_the_device_goes_on() {
        int gpu = nextGpu++;
        tell("FAKE_CUDA_MEMORY=400000000");
        try (CudaDevice device = open(gpu)) {
            long before = device.arena().liveBytes();
            Matrix m = random(100, 100);
            try (DeviceMatrix kept = device.upload(m, DType.F32)) {
                assertThatThrownBy(() -> device.zeros(20_000, 10_000, DType.F32))
                        .isInstanceOf(DeviceOutOfMemory.class)
                        .hasMessageContaining("No memory on the GPU for 762.9 MiB")
                        .hasMessageContaining("343.3 MiB in all"); // nine tenths
                assertThat(device.download(kept).values()).isEqualTo(m.values());
            }
            assertThat(device.arena().liveBytes()).isEqualTo(before);
        }
    }

    @Test
    void memory_that_others_have_taken_is_out_too() {
        int gpu = nextGpu++;
        try (CudaDevice device = open(gpu)) {
            tell("FAKE_CUDA_FAIL=cuMemAlloc_v2:2");
            assertThatThrownBy(() -> device.zeros(10_000, 10_000, DType.F32)).isInstanceOf(DeviceOutOfMemory.class);
            tell("FAKE_CUDA_FAIL=");
            device.zeros(10_000, 10_000, DType.F32).close();
        }
    }

    @ParameterizedTest
    @CsvSource({"cuLaunchKernel:700", "cuMemcpyHtoDAsync_v2:214", "cuStreamWaitEvent:719", "cuMemsetD8Async:716"})
    void a_lost_gpu_refuses_everything_with_the_first_reason(String failure) throws Exception {
        int gpu = nextGpu++;
        // The context that is spoiled is this thread's, and the others' settings must still be changed.
        alone(() -> {
            CudaDevice device = open(gpu);
            DeviceMatrix x = device.upload(random(4, 8), DType.F32);
            tell("FAKE_CUDA_FAIL=" + failure);
            assertThatThrownBy(() -> {
                        device.zeros(4, 8, DType.F32).close();
                        device.upload(random(4, 8), DType.BF16).close();
                    })
                    .isInstanceOf(DeviceLost.class)
                    .hasMessageContaining("GPU " + gpu + " (Fake GPU")
                    .hasMessageContaining("is lost to this process")
                    .hasMessageContaining(failure.substring(failure.indexOf(':') + 1));
            String reason = "(the work has to be done again by another process)";
            assertThatThrownBy(() -> device.download(x))
                    .isInstanceOf(DeviceLost.class)
                    .hasMessageContaining(reason);
            assertThatThrownBy(() -> device.forward().add(x, x))
                    .isInstanceOf(DeviceLost.class)
                    .hasMessageContaining(reason);
            assertThatThrownBy(() -> open(gpu)).isInstanceOf(DeviceLost.class);
            x.close();
            device.close(); // what is lost needs no closing, and does not fail
        });
    }

    @Test
    void a_library_that_fails_since_the_gpu_is_lost_says_that() throws Exception {
        int gpu = nextGpu++;
        alone(() -> {
            CudaDevice device = open(gpu);
            DeviceMatrix w = device.upload(random(8, 8), DType.BF16);
            tell("FAKE_CUDA_FAIL=cublasGemmEx:13,cuCtxSynchronize:719");
            assertThatThrownBy(() -> device.forward().linear(w, w, null, DType.F32))
                    .isInstanceOf(DeviceLost.class)
                    .hasMessageContaining("cublasGemmEx")
                    .hasMessageContaining("719");
            device.close();
        });
    }

    @Test
    void a_library_that_fails_by_itself_does_not_lose_the_gpu() {
        int gpu = nextGpu++;
        try (CudaDevice device = open(gpu);
                DeviceMatrix w = device.upload(random(8, 8), DType.BF16)) {
            long before = device.arena().liveBytes();
            tell("FAKE_CUDA_FAIL=cublasGemmEx:13");
            assertThatThrownBy(() -> device.forward().linear(w, w, null, DType.F32))
                    .isExactlyInstanceOf(DeviceException.class)
                    .hasMessageContaining("cublasGemmEx");
            assertThat(device.arena().liveBytes()).isEqualTo(before);
            tell("FAKE_CUDA_FAIL=");
            device.forward().linear(w, w, null, DType.F32).close();
        }
    }

    @Test
    void heads_wider_than_the_kernel_are_refused() {
        try (CudaDevice device = open(nextGpu++);
                DeviceMatrix q = device.zeros(2, 512, DType.BF16)) {
            assertThatThrownBy(() -> device.forward()
                            .attention(
                                    q,
                                    q,
                                    q,
                                    new quern.device.ForwardKernels.AttentionShape(2, 1, 1, 512, 512, 1, 0),
                                    DType.F32))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining("(use --device cpu)");
        }
    }

    @Test
    void two_devices_on_one_gpu_do_not_touch_each_other_s_matrices() {
        int gpu = nextGpu++;
        try (CudaDevice one = open(gpu);
                CudaDevice other = open(gpu);
                DeviceMatrix x = one.zeros(2, 2, DType.F32)) {
            assertThatThrownBy(() -> other.download(x)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    private interface Work {
        void run() throws Exception;
    }

    /** On a thread of its own. */
    private static void alone(Work work) throws Exception {
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            Future<?> done = thread.submit(() -> {
                work.run();
                return null;
            });
            done.get();
        } finally {
            thread.shutdown();
        }
    }
}
