package quern.spark;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.plan.Plan;
import quern.run.LocalRunner;
import quern.run.Quantization;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.pass.CalibrationTokens;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.store.LocalStore;

/** Promise 1: the bytes of a plan depend on nothing but the plan and the type of device. */
@Timeout(300)
class SparkRunnerTest {
    private static final int LAYERS = 4;

    @TempDir
    Path folder;

    private Path source;

    @BeforeEach
    void writeModel() throws IOException {
        source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), LAYERS, 7);
    }

    @ParameterizedTest
    @CsvSource({
        "local[1]",
        "local[2]",
        "'local-cluster[1,1,1024]'",
        "'local-cluster[2,1,1024]'",
        "'local-cluster[3,1,1024]'"
    })
    void writesTheBytesOfTheLocalRunner(String master) throws IOException {
        try (JavaSparkContext spark = context(master, Map.of())) {
            SparkRunner runner = new SparkRunner(spark, ToyRun.STORES);
            for (int stages : List.of(1, 2, LAYERS)) {
                same(runner, ToyRun.recipe(), stages);
            }
            same(runner, ToyRun.recipe("gptaq"), 1);
        }
    }

    private void same(SparkRunner runner, Recipe recipe, int stages) throws IOException {
        String name = recipe.method() + "-" + stages;
        Plan local = ToyRun.plan(source, folder.resolve("local" + name), recipe, stages);
        ToyRun.run(local, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        Plan plan = ToyRun.plan(source, folder.resolve("spark" + name), recipe, stages);
        ToyRun.run(plan, runner, Quantization.Listener.SILENT);
        assertThat(ToyRun.bytes(Path.of(plan.output()))).as(name).isEqualTo(ToyRun.bytes(Path.of(local.output())));
    }

    /** Of experts there are sites that no tile comes to, sites that wait for the others', and many in a partition. */
    @ParameterizedTest
    @CsvSource({"local[2]", "'local-cluster[2,1,1024]'"})
    void writesTheBytesOfTheLocalRunnerForExperts(String master) throws IOException {
        source = folder.resolve("experts");
        ToyModel.writeExperts(new LocalStore(source), 2, 7);
        try (JavaSparkContext spark = context(master, Map.of())) {
            SparkRunner runner = new SparkRunner(spark, ToyRun.STORES);
            for (int stages : List.of(1, 2)) {
                Plan one = ToyRun.plan(source, folder.resolve("local" + stages), ToyRun.recipe(), stages, 16);
                ToyRun.run(one, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
                Map<String, String> expected = ToyRun.bytes(Path.of(one.output()));
                Plan plan = ToyRun.plan(source, folder.resolve("spark" + stages), ToyRun.recipe(), stages, 16);
                ToyRun.run(plan, runner, Quantization.Listener.SILENT);
                assertThat(ToyRun.bytes(Path.of(plan.output())))
                        .as("%d stages", stages)
                        .isEqualTo(expected);
            }
        }
    }

    /** The first site is not accepted before the map side is known to be done: at the end of the job would be too late. */
    @Test
    void tellsThatTheMapSideIsDoneWhileSitesAreSolved() throws IOException {
        Plan plan = ToyRun.plan(source, folder.resolve("left"), ToyRun.recipe(), LAYERS);
        CountDownLatch left = new CountDownLatch(1);
        AtomicInteger inTime = new AtomicInteger();
        try (JavaSparkContext spark = context("local[1]", Map.of())) {
            CalibrationTokens.write(ToyRun.STORES.open(plan.output()), plan, ToyModel.tokens(24, 32, 1));
            Pass pass = new Pass(0, 1, 0, -1, List.of(), List.of());
            new SparkRunner(spark, ToyRun.STORES)
                    .calibrate(
                            plan,
                            List.of(plan),
                            pass,
                            new Stopwatch(),
                            manifest -> inTime.addAndGet(heard(left) ? 1 : 0),
                            left::countDown);
        } finally {
            Workbench.release(plan);
        }
        assertThat(inTime.get()).isEqualTo(plan.sites(0, 1).size());
    }

    private static boolean heard(CountDownLatch latch) {
        try {
            return latch.await(5, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @ParameterizedTest
    @CsvSource({"1", "4"})
    void survivesAnExecutorKilledInTheMiddleOfALayer(int stages) throws IOException {
        Map<String, String> expected = local(stages);
        Plan plan = ToyRun.plan(source, folder.resolve("killed"), ToyRun.recipe(), stages);
        AtomicInteger seen = new AtomicInteger();
        AtomicInteger killed = new AtomicInteger();
        try (JavaSparkContext spark = context("local-cluster[2,1,1024]", Map.of())) {
            // In the middle of a layer: some of its sites are done, the others are under way.
            ToyRun.run(plan, new SparkRunner(spark, ToyRun.STORES), new Quantization.Listener() {
                @Override
                public void stage(String name, int begin, int end) {}

                @Override
                public void site(SiteManifest manifest, double lossRatio) {
                    if (seen.incrementAndGet() == 6) {
                        ProcessHandle victim = executors().get(0);
                        killed.addAndGet(victim.destroyForcibly() ? 1 : 0);
                    }
                }

                @Override
                public void writing(int shards) {}
            });
        }
        assertThat(killed).hasValue(1);
        assertThat(ToyRun.bytes(Path.of(plan.output()))).isEqualTo(expected);
    }

    @Test
    void givesEachTaskItsGpuByAResourceProfile() throws IOException {
        Path script = folder.resolve("gpu.sh");
        Files.writeString(script, "#!/bin/sh\necho '{\"name\":\"gpu\",\"addresses\":[\"0\"]}'\n");
        assertThat(script.toFile().setExecutable(true)).isTrue();
        Map<String, String> gpus = Map.of(
                "spark.worker.resource.gpu.amount", "1",
                "spark.worker.resource.gpu.discoveryScript", script.toString(),
                "spark.executor.resource.gpu.amount", "1");
        Map<String, String> expected = local(1);
        try (JavaSparkContext spark = context("local-cluster[2,2,1024]", gpus)) {
            Plan plan = ToyRun.plan(source, folder.resolve("gpu"), ToyRun.recipe(), 1);
            SparkRunner runner = new SparkRunner(spark, ToyRun.STORES);
            ToyRun.run(plan, runner, Quantization.Listener.SILENT);
            assertThat(ToyRun.bytes(Path.of(plan.output()))).isEqualTo(expected);
            List<String> addresses = runner.gpuOfTasks(4);
            assertThat(addresses).containsOnly("0");
        }
    }

    private Map<String, String> local(int stages) throws IOException {
        Path output = folder.resolve("local" + stages);
        if (!Files.exists(output)) {
            Plan plan = ToyRun.plan(source, output, ToyRun.recipe(), stages);
            ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        }
        return ToyRun.bytes(output);
    }

    private JavaSparkContext context(String master, Map<String, String> more) throws IOException {
        Files.createDirectories(Path.of(System.getenv("SPARK_HOME"), "jars"));
        SparkConf conf = new SparkConf()
                .setMaster(master)
                .setAppName("test")
                .set("spark.ui.enabled", "false")
                .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .set("spark.kryo.registrationRequired", "true")
                .set("spark.kryo.registrator", QuernKryoRegistrator.class.getName())
                .set("spark.driver.maxResultSize", "8m") // a tensor that leaks to the driver fails at once
                .set("spark.executor.extraClassPath", absoluteClassPath());
        more.forEach(conf::set);
        return new JavaSparkContext(conf);
    }

    private static String absoluteClassPath() {
        return java.util.Arrays.stream(System.getProperty("java.class.path").split(java.io.File.pathSeparator))
                .map(p -> Path.of(p).toAbsolutePath().toString())
                .collect(java.util.stream.Collectors.joining(java.io.File.pathSeparator));
    }

    private static List<ProcessHandle> executors() {
        return ProcessHandle.current()
                .descendants()
                .filter(p -> {
                    try {
                        return Files.readString(Path.of("/proc", Long.toString(p.pid()), "cmdline"))
                                .contains("CoarseGrainedExecutorBackend");
                    } catch (IOException e) {
                        return false; // it ended meanwhile
                    }
                })
                .toList();
    }
}
