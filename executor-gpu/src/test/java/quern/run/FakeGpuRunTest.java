package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;
import quern.plan.Plan;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;

/** Whole runs on libraries that play a GPU, beside those of the CPU: the flow, and that both quantize alike. */
class FakeGpuRunTest {
    private static final int LAYERS = 3;

    @TempDir
    Path folder;

    private Path source;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    @BeforeEach
    void model() throws IOException {
        source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), LAYERS, 7);
    }

    private List<SiteManifest> run(String device, DType compute, String output, int stages, String method)
            throws IOException {
        Recipe recipe = ToyRun.recipe(method);
        try (Device machine = Devices.open(device, compute)) {
            Plan plan = ToyRun.plan(source, folder.resolve(output), recipe, stages, 0, machine);
            assertThat(plan.device()).isEqualTo(device);
            try {
                return ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT)
                        .sites();
            } finally {
                Workbench.release(plan);
            }
        }
    }

    /**
     * A linear as one device quantized it beside another.
     *
     * @param drifts whether linears before it in its layer move its inputs
     * @param loss over the other's, as {@code roundToNearest} and {@code norm} are
     * @param differing share of its codes
     */
    private record Beside(
            String name, boolean drifts, double loss, double roundToNearest, double norm, double differing) {}

    /** All linears of a run on the GPU that is played beside those of one on the CPU. */
    private List<Beside> beside(int seed, int stages, String method) throws IOException {
        ToyModel.write(new LocalStore(source), LAYERS, seed);
        List<SiteManifest> gpu = run("cuda", DType.F32, "gpu-" + seed, stages, method);
        List<SiteManifest> cpu = run("cpu", DType.F32, "cpu-" + seed, stages, method);
        Checkpoint ofGpu = Checkpoint.open(new LocalStore(folder.resolve("gpu-" + seed)));
        Checkpoint ofCpu = Checkpoint.open(new LocalStore(folder.resolve("cpu-" + seed)));
        assertThat(gpu).hasSameSizeAs(cpu);
        List<Beside> linears = new ArrayList<>();
        for (int i = 0; i < gpu.size(); i++) {
            for (int l = 0; l < gpu.get(i).linears().size(); l++) {
                SiteManifest.LinearManifest one = gpu.get(i).linears().get(l);
                SiteManifest.LinearManifest other = cpu.get(i).linears().get(l);
                assertThat(one.name()).isEqualTo(other.name());
                linears.add(new Beside(
                        one.name(),
                        gpu.get(i).site() > 0,
                        one.loss() / other.loss(),
                        one.roundToNearest() / other.roundToNearest(),
                        one.norm() / other.norm(),
                        differing(ofGpu.read(one.name() + ".qweight"), ofCpu.read(one.name() + ".qweight"))));
            }
        }
        return linears;
    }

    /** Share of codes of four bits. */
    private static double differing(ByteBuffer a, ByteBuffer b) {
        int differing = 0;
        int codes = 2 * a.remaining();
        while (a.hasRemaining()) {
            int difference = a.get() ^ b.get();
            differing += ((difference & 0xf) != 0 ? 1 : 0) + ((difference & 0xf0) != 0 ? 1 : 0);
        }
        return (double) differing / codes;
    }

    /**
     * Layers at a time, and all of them as stages of their own. Sums have other last bits: of two scales that are all but equally good
     * each device may take another, and one of the other sign has all other codes in its group and behind it.
     */
    @ParameterizedTest
    @ValueSource(ints = {1, LAYERS})
    void codes_and_losses_are_those_of_the_cpu(int stages) throws IOException {
        List<Beside> linears = beside(7, stages, "gptq");
        for (Beside linear : linears) {
            assertThat(linear.loss()).as("%s", linear).isCloseTo(1, within(0.05));
            assertThat(linear.roundToNearest()).as("%s", linear).isCloseTo(1, within(0.01));
            assertThat(linear.norm()).as("%s", linear).isCloseTo(1, within(0.01));
            assertThat(linear.differing()).as("%s", linear).isLessThan(0.05);
        }
        assertThat(linears.stream().mapToDouble(Beside::differing).average().orElseThrow())
                .as("share of codes that differ")
                .isLessThan(0.005);
    }

    /**
     * A code that differs moves what {@code gptaq} aims at in all linears behind it, by little, and then up to a third of their codes:
     * these are held to the CPU's as long as all before them are the same.
     */
    @Test
    void gptaq_is_that_of_the_cpu_as_long_as_what_drifts_is() throws IOException {
        int held = 0;
        for (int seed = 1; seed <= 3; seed++) {
            boolean same = true;
            for (Beside linear : beside(seed, 1, "gptaq")) {
                assertThat(linear.loss()).as("seed %d: %s", seed, linear).isCloseTo(1, within(0.15));
                if (same) {
                    assertThat(linear.differing())
                            .as("seed %d: %s", seed, linear)
                            .isLessThan(0.05);
                    held += linear.drifts() ? 1 : 0;
                    same = linear.differing() == 0;
                }
            }
        }
        assertThat(held).as("linears whose inputs drift").isPositive();
    }

    /** Solved on the device where they were summed, in batches, or after they were downloaded. */
    @Test
    void experts_have_the_same_bytes_however_many_parts_a_task_takes() throws IOException {
        source = folder.resolve("experts");
        ToyModel.writeExperts(new LocalStore(source), LAYERS, 7);
        try (Device gpu = Devices.open("cuda", DType.BF16)) {
            Map<String, String> bytes = null;
            for (int together : new int[] {1, 2, 4}) {
                Path output = folder.resolve("together-" + together);
                Plan plan = ToyRun.plan(source, output, ToyRun.recipe(), LAYERS, 45, gpu);
                ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1, together), Quantization.Listener.SILENT);
                Workbench.release(plan);
                Map<String, String> own = ToyRun.bytes(output);
                bytes = bytes == null ? own : bytes;
                assertThat(own).as("%d together", together).isEqualTo(bytes);
            }
        }
    }

    @Test
    void a_second_run_writes_the_same_bytes() throws IOException {
        run("cuda", DType.BF16, "one", LAYERS, "gptq");
        run("cuda", DType.BF16, "two", LAYERS, "gptq");
        assertThat(ToyRun.bytes(folder.resolve("two"))).isEqualTo(ToyRun.bytes(folder.resolve("one")));
    }
}
