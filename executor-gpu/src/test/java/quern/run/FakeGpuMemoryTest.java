package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.pass.Gathered;
import quern.run.pass.SiteTasks;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Runs on a GPU, which libraries play, whose memory becomes less and less. */
class FakeGpuMemoryTest {
    private static final int LAYERS = 2;
    private static final int PARTS = 4;

    @TempDir
    Path folder;

    private Path source;
    private long bytes; // of a device that is open and empty

    @BeforeEach
    void model() throws IOException {
        FakeGpu.assumeBuilt();
        source = folder.resolve("source");
        ToyModel.writeExperts(new LocalStore(source), LAYERS, 7);
        Devices.open("cuda").close();
        FakeGpu.tell("FAKE_CUDA_MEMORY=80000000"); // so little that none is taken in advance
        try (Device empty = Devices.open("cuda", DType.BF16)) {
            assertThat(empty.name()).isEqualTo("cuda");
            long[] free = new long[1];
            JCudaDriver.cuMemGetInfo(free, new long[1]);
            bytes = 80_000_000 - free[0];
        }
    }

    @AfterEach
    void enough() {
        FakeGpu.tell("FAKE_CUDA_MEMORY=1073741824");
    }

    private Plan plan(String output) throws IOException {
        try (Device gpu = Devices.open("cuda", DType.BF16)) {
            return ToyRun.plan(source, folder.resolve(output), ToyRun.recipe(), LAYERS, 0, gpu);
        }
    }

    private void leave(long more) {
        FakeGpu.tell("FAKE_CUDA_MEMORY=" + (bytes + more));
    }

    @FunctionalInterface
    private interface Work {
        void run() throws IOException;
    }

    private static String logged(Work work) throws IOException {
        PrintStream before = System.err;
        ByteArrayOutputStream log = new ByteArrayOutputStream();
        System.setErr(new PrintStream(log, true, StandardCharsets.UTF_8));
        try {
            work.run();
        } finally {
            System.setErr(before);
        }
        return log.toString(StandardCharsets.UTF_8);
    }

    /** A run whose tasks take all parts together. */
    private void run(String output) throws IOException {
        Plan plan = plan(output);
        try {
            ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1, PARTS), Quantization.Listener.SILENT);
        } finally {
            Workbench.release(plan);
        }
    }

    @Test
    void fewer_parts_together_write_the_same_bytes_until_a_sentence_says_what_would_do() throws IOException {
        assertThat(logged(() -> run("enough"))).doesNotContain("No memory");
        Map<String, String> whole = ToyRun.bytes(folder.resolve("enough"));
        StringBuilder logs = new StringBuilder();
        // How much one part takes depends a little on which files are read first, so the least is looked for.
        boolean enough = true;
        for (int more = 560_000; enough; more -= 40_000) {
            leave(more);
            String output = "more-" + more;
            try {
                String log = logged(() -> run(output));
                logs.append(log);
                assertThat(ToyRun.bytes(folder.resolve(output)))
                        .as("%d bytes", more)
                        .isEqualTo(whole);
            } catch (QuernException e) {
                assertThat(e).hasMessageContaining("No memory on the GPU for ");
                enough = false;
            }
        }
        assertThat(logs)
                .contains("the pass begins anew with 2 parts together and not 4")
                .contains("2 parts that were taken together are taken in two halves");
        leave(70_000);
        assertThatThrownBy(() -> run("least"))
                .isInstanceOf(QuernException.class)
                .hasMessageMatching(
                        "Cannot take the calibration tokens through the model: No memory on the GPU for .*\\(.* would do\\)");
    }

    @Test
    void fewer_experts_together_are_solved_to_the_same_bytes_until_a_sentence_says_what_would_do() throws IOException {
        Plan plan = plan("solves");
        List<SiteManifest> whole = solved(plan);
        assertThat(whole).hasSize(8);
        String logs = logged(() -> assertThatThrownBy(() -> {
                    for (long more = 450_000; ; more -= 50_000) {
                        leave(more);
                        assertThat(solved(plan)).as("%d bytes", more).isEqualTo(whole);
                    }
                })
                .isInstanceOf(QuernException.class)
                .hasMessageMatching("Cannot quantize model.layers.1.*: No memory on the GPU for .*\\(.* would do\\)"));
        assertThat(logs)
                .contains("8 experts that were to be solved together are taken in two halves")
                .contains("2 experts that were to be solved together are taken in two halves")
                .contains("is solved anew with no other beside it");
    }

    /** The experts of a layer, as one batch. */
    private List<SiteManifest> solved(Plan plan) throws IOException {
        List<Gathered> experts = new ArrayList<>();
        for (Plan.SitePlan site : plan.sites(LAYERS - 1, LAYERS)) {
            if (site.ofExpert() && site.name().endsWith("down_proj")) {
                experts.add(new Gathered(site, Statistics.of(1000, diagonal(site.inputs()), null)));
            }
        }
        try {
            List<Workbench> bench = List.of(Workbench.of(plan, ToyRun.STORES));
            Pass pass = new Pass(0, LAYERS, 0, -1, List.of(), List.of());
            return SiteTasks.reduced(bench, pass, experts, new Stopwatch());
        } finally {
            Workbench.release(plan);
        }
    }

    @Test
    void a_transform_that_finds_no_memory_beside_others_or_alone_says_what_would_do() throws IOException {
        ToyModel.write(new LocalStore(source), LAYERS, 7);
        Plan plan;
        try (Device gpu = Devices.open("cuda", DType.BF16)) {
            Recipe awq = RecipeReader.read("{transform: awq, group-size: 32}", "test");
            plan = ToyRun.plan(source, folder.resolve("fitted"), awq, LAYERS, 0, gpu);
        }
        String logs = logged(
                () -> assertThatThrownBy(() -> {
                            for (long more = 200_000; ; more -= 20_000) {
                                leave(more);
                                fitted(plan);
                            }
                        })
                        .isInstanceOf(QuernException.class)
                        .hasMessageMatching(
                                "Cannot fit the transform to the inputs of model.layers.0.*: No memory on the GPU for .*\\(.* would do\\)"));
        assertThat(logs).contains("is solved anew with no other beside it");
    }

    /** To the first site that it is fitted to. */
    private static void fitted(Plan plan) throws IOException {
        List<Plan.SitePlan> sites =
                plan.sites().stream().filter(Plan.SitePlan::fitted).toList();
        Plan.SitePlan first = sites.get(0);
        Statistics inputs = Statistics.of(1000, diagonal(first.inputs()), null);
        try {
            List<Workbench> bench = List.of(Workbench.of(plan, ToyRun.STORES));
            Pass pass = Pass.fitting(0, LAYERS, List.of(), sites);
            SiteTasks.reduced(bench, pass, List.of(new Gathered(first, inputs)), new Stopwatch());
        } finally {
            Workbench.release(plan);
        }
    }

    private static Matrix diagonal(int n) {
        Matrix m = Matrix.zeros(n, n);
        for (int i = 0; i < n; i++) {
            m.values()[i * n + i] = 1 + i;
        }
        return m;
    }
}
