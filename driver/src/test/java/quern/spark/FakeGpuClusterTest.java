package quern.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.File;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import jcuda.driver.JCudaDriver;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;
import quern.plan.Plan;
import quern.run.LocalRunner;
import quern.run.Quantization;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;
import quern.store.LocalStore;
import quern.tensor.DType;
import scala.jdk.javaapi.CollectionConverters;

/** Executors that are given a GPU each by Spark, on libraries that play one. */
@Timeout(300)
class FakeGpuClusterTest {
    private static final int LAYERS = 3;
    private static final int STAGES = 2;
    private static final long EMPTY_DEVICE = 56 << 20; // what it takes when it is opened

    @TempDir
    Path folder;

    private Path source;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    @BeforeEach
    void writeModel() throws IOException {
        source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), LAYERS, 7);
    }

    @Test
    void the_only_gpu_keeps_its_hessians_and_takes_fewer_parts_at_a_time_where_memory_runs_out() throws Exception {
        try (JavaSparkContext spark = context(1)) {
            String type = type(spark, 1, false);
            Map<String, String> alone = alone(spark, "alone", LAYERS, type);
            assertThat(alone).containsKey("config.json");
            Shuffled shuffled = new Shuffled(spark);
            assertThat(run(spark, "one", LAYERS, type)).isEqualTo(alone);
            assertThat(shuffled.bytes()).isZero();
            Stopwatch watch = new Stopwatch();
            // How much all parts take depends a little on which files are read first, so it is looked for.
            for (int more = 640_000; watch.times(Squeeze.PASSES) == 0; more -= 40_000) {
                leave(spark, EMPTY_DEVICE + more);
                Plan little = plan("little-" + more, LAYERS, type);
                watch = ToyRun.run(little, new SparkRunner(spark, ToyRun.STORES), Quantization.Listener.SILENT)
                        .watch();
                assertThat(ToyRun.bytes(folder.resolve("little-" + more))).isEqualTo(alone);
            }
            assertThat(shuffled.bytes()).as("sums of some parts meet").isPositive();
            assertThat(watch.times(Squeeze.PASSES)).isPositive();
            assertThat(shuffled.failed()).as("tasks that Spark tried again").isZero();
        }
    }

    @Test
    void two_gpus_write_the_same_bytes_together_by_stages_and_where_one_is_lost() throws Exception {
        Map<String, String> alone;
        try (JavaSparkContext spark = context(2)) {
            String type = type(spark, 2, false);
            alone = alone(spark, "alone", 1, type);
            Map<String, String> staged = alone(spark, "staged", STAGES, type);
            Shuffled shuffled = new Shuffled(spark);
            assertThat(run(spark, "stages", STAGES, type)).isEqualTo(staged);
            assertThat(shuffled.bytes()).as("each keeps its stage's Hessians").isZero();
            assertThat(shuffled.executors).hasSize(2);
            assertThat(run(spark, "two", 1, type)).isEqualTo(alone);
            assertThat(shuffled.bytes()).as("the sums of both meet").isPositive();
        }
        try (JavaSparkContext spark = context(2)) {
            String type = type(spark, 2, true);
            assertThat(run(spark, "lost", 1, type)).isEqualTo(alone);
            awaitEndOfExecutor0(spark);
        }
    }

    private Plan plan(String output, int stages, String type) throws IOException {
        return ToyRun.plan(source, folder.resolve(output), ToyRun.recipe(), stages, 0, "cuda", type, DType.F32);
    }

    private Map<String, String> run(JavaSparkContext spark, String output, int stages, String type) throws IOException {
        Plan plan = plan(output, stages, type);
        assertThat(plan.stages()).hasSize(stages);
        ToyRun.run(plan, new SparkRunner(spark, ToyRun.STORES), Quantization.Listener.SILENT);
        return ToyRun.bytes(folder.resolve(output));
    }

    /** The same in one executor's process, without Spark. */
    private Map<String, String> alone(JavaSparkContext spark, String output, int stages, String type)
            throws IOException {
        Plan plan = plan(output, stages, type);
        onGpu(spark, () -> ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT));
        return ToyRun.bytes(folder.resolve(output));
    }

    /** Of the executor's GPU, beside what it has taken. */
    private static void leave(JavaSparkContext spark, long bytes) {
        onGpu(spark, () -> {
            Devices.open("cuda").close();
            long[] free = new long[1];
            long[] all = new long[1];
            JCudaDriver.cuMemGetInfo(free, all);
            FakeGpu.tell("FAKE_CUDA_MEMORY=" + (all[0] - free[0] + bytes));
            return true;
        });
    }

    private interface Work extends Callable<Object>, Serializable {}

    /** In a task of its own. */
    private static void onGpu(JavaSparkContext spark, Work work) {
        GpuProfile.applied(spark.parallelize(List.of(0), 1), spark)
                .map(task -> {
                    GpuProfile.take();
                    work.call();
                    return task;
                })
                .collect();
    }

    /** What tasks write for others, and who runs them. */
    private static final class Shuffled extends SparkListener {
        private final JavaSparkContext spark;
        private final LongAdder written = new LongAdder();
        private final LongAdder failed = new LongAdder();
        private final Set<String> executors = ConcurrentHashMap.newKeySet();

        Shuffled(JavaSparkContext spark) throws Exception {
            this.spark = spark;
            spark.sc().listenerBus().waitUntilEmpty();
            spark.sc().addSparkListener(this);
        }

        @Override
        public void onTaskEnd(SparkListenerTaskEnd end) {
            executors.add(end.taskInfo().executorId());
            failed.add(end.taskInfo().failed() ? 1 : 0);
            if (end.taskMetrics() != null) {
                written.add(end.taskMetrics().shuffleWriteMetrics().bytesWritten());
            }
        }

        long failed() throws Exception {
            spark.sc().listenerBus().waitUntilEmpty();
            return failed.sum();
        }

        long bytes() throws Exception {
            spark.sc().listenerBus().waitUntilEmpty();
            return written.sum();
        }
    }

    /** The type of the executors' devices. */
    private static String type(JavaSparkContext spark, int executors, boolean loses) throws Exception {
        List<Integer> tasks = IntStream.range(0, 8).boxed().toList();
        // Each executor's device in the name of the plan, and one that will fail in the middle of its work.
        List<String> found = GpuProfile.applied(spark.parallelize(tasks, tasks.size()), spark)
                .map(task -> {
                    Thread.sleep(200); // so that both executors get some
                    try (Device device = Devices.open(GpuProfile.device(null), DType.F32)) {
                        String executor = SparkEnv.get().executorId();
                        if (loses && executor.equals("0")) {
                            FakeGpu.tell("FAKE_CUDA_FAIL=cuLaunchKernel:719:40");
                        }
                        return executor + " " + device.type();
                    }
                })
                .distinct()
                .collect();
        assertThat(found).hasSize(executors).allMatch(f -> f.matches("\\d+ cuda/f32/Fake GPU .*"));
        return found.get(0).replaceFirst("\\d+ ", "");
    }

    /** The run may end before the driver hears that the process did. */
    private static void awaitEndOfExecutor0(JavaSparkContext spark) {
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            while (CollectionConverters.asJava(spark.sc().getExecutorIds()).contains("0")) {
                Thread.sleep(100);
            }
        });
    }

    private JavaSparkContext context(int executors) throws IOException {
        Path script = folder.resolve("gpu.sh");
        Files.writeString(script, "#!/bin/sh\necho '{\"name\":\"gpu\",\"addresses\":[\"0\"]}'\n");
        assertThat(script.toFile().setExecutable(true)).isTrue();
        Files.createDirectories(Path.of(System.getenv("SPARK_HOME"), "jars"));
        String classPath = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(p -> Path.of(p).toAbsolutePath().toString())
                .collect(Collectors.joining(File.pathSeparator));
        Path fakes = FakeGpu.FOLDER.toAbsolutePath();
        return new JavaSparkContext(new SparkConf()
                .setMaster("local-cluster[" + executors + ",1,1024]")
                .setAppName("test")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .set("spark.kryo.registrationRequired", "true")
                .set("spark.kryo.registrator", QuernKryoRegistrator.class.getName())
                .set("spark.worker.resource.gpu.amount", "1")
                .set("spark.worker.resource.gpu.discoveryScript", script.toString())
                .set("spark.executor.resource.gpu.amount", "1")
                .set("spark.executorEnv.LD_LIBRARY_PATH", fakes.toString())
                .set("spark.executor.extraJavaOptions", "-Dquern.gpu.shared=true") // both play on this machine
                .set("spark.executor.extraClassPath", classPath + File.pathSeparator + fakes.resolve("classpath")));
    }
}
