package quern.spark;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
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
import quern.run.Quantization;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.store.LocalStore;
import quern.tensor.DType;
import scala.jdk.javaapi.CollectionConverters;

/** Executors that are given a GPU each by Spark, on libraries that play one. */
@Timeout(300)
class FakeGpuClusterTest {
    private static final int LAYERS = 2;

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
    void the_bytes_are_those_of_any_number_of_executors_and_of_one_that_lost_its_gpu() throws Exception {
        Map<String, String> one = run("one", 1, false);
        assertThat(one).containsKey("config.json");
        assertThat(run("two", 2, false)).isEqualTo(one);
        assertThat(run("lost", 2, true)).isEqualTo(one);
    }

    private Map<String, String> run(String output, int executors, boolean loses) throws Exception {
        try (JavaSparkContext spark = context(executors)) {
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
            String type = found.get(0).replaceFirst("\\d+ ", "");
            spark.sc().listenerBus().waitUntilEmpty(); // distinct() shuffles, too
            LongAdder shuffled = new LongAdder();
            spark.sc().addSparkListener(new SparkListener() {
                @Override
                public void onTaskEnd(SparkListenerTaskEnd end) {
                    if (end.taskMetrics() != null) {
                        shuffled.add(end.taskMetrics().shuffleWriteMetrics().bytesWritten());
                    }
                }
            });
            Path folderOfOutput = folder.resolve(output);
            Plan plan = ToyRun.plan(source, folderOfOutput, ToyRun.recipe(), LAYERS, 0, "cuda", type, DType.F32);
            ToyRun.run(plan, new SparkRunner(spark, ToyRun.STORES), Quantization.Listener.SILENT);
            spark.sc().listenerBus().waitUntilEmpty();
            if (executors == 1) {
                assertThat(shuffled.sum()).as("Hessians stay on the only GPU").isZero();
            } else if (!loses) {
                assertThat(shuffled.sum()).as("sums of two GPUs meet").isPositive();
            }
            if (loses) {
                awaitEndOfExecutor0(spark);
            }
            return ToyRun.bytes(folderOfOutput);
        }
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
