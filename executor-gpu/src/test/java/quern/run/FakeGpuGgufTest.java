package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.device.Device;
import quern.device.Devices;
import quern.device.FakeGpu;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.Plan;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Workbench;
import quern.scheme.RecipeReader;
import quern.store.Gguf;
import quern.store.LocalStore;
import quern.tensor.DType;

/** A GGUF file by libraries that play a GPU, beside that of the CPU: they search the blocks of gptq, and weigh those of imatrix. */
class FakeGpuGgufTest {
    private static final String FILE = "model-Q4_K_M.gguf";
    private static final int LAYERS = 1;

    /** Of a weight of the toy; the smallest step between two values of Q6_K is about three times as much. */
    private static final float ELSEWHERE = 0.003f;

    @TempDir
    Path folder;

    private Path source;

    @BeforeAll
    static void fakes() {
        FakeGpu.assumeBuilt();
    }

    /** Rows are one and two blocks. */
    @BeforeEach
    void model() throws IOException {
        source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), LAYERS, 256, 512, 7);
        ToyModel.tokenizer(
                new LocalStore(source),
                "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
                ToyModel.VOCABULARY - 2);
    }

    private List<SiteManifest> run(String device, String method) throws IOException {
        try (Device machine = Devices.open(device, DType.F32)) {
            Plan plan = ToyRun.plan(
                    source,
                    folder.resolve(device),
                    RecipeReader.read("{format: gguf-q4_k_m, method: %s}".formatted(method), "test"),
                    LAYERS,
                    0,
                    machine);
            try {
                return ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT)
                        .sites();
            } finally {
                Workbench.release(plan);
            }
        }
    }

    /** Sums of products have other last bits, so bytes are not the same. Without any there is no device: rtn rounds on the host. */
    @ParameterizedTest
    @ValueSource(strings = {"imatrix", "gptq"})
    void values_and_losses_are_those_of_the_cpu(String method) throws IOException {
        List<SiteManifest> gpu = run("cuda", method);
        List<SiteManifest> cpu = run("cpu", method);
        assertThat(gpu).hasSameSizeAs(cpu);
        for (int i = 0; i < gpu.size(); i++) {
            List<SiteManifest.LinearManifest> linears = gpu.get(i).linears();
            for (int l = 0; l < linears.size(); l++) {
                SiteManifest.LinearManifest other = cpu.get(i).linears().get(l);
                assertThat(linears.get(l).name()).isEqualTo(other.name());
                assertThat(linears.get(l).loss()).isCloseTo(other.loss(), withinPercentage(1));
            }
        }
        assertThat(Gguf.read(new LocalStore(folder.resolve("cuda")), FILE))
                .usingRecursiveComparison()
                .isEqualTo(Gguf.read(new LocalStore(folder.resolve("cpu")), FILE));
        // A block whose unit is another has other codes: 0.0007 of this model by imatrix, 0.0038 by gptq.
        assertThat(elsewhere()).as("share of weights that differ").isLessThan(0.01);
    }

    /** Of all weights, those that the two files have at places apart. */
    private double elsewhere() throws IOException {
        Model gpu = Model.open(new LocalStore(folder.resolve("cuda")));
        Model cpu = Model.open(new LocalStore(folder.resolve("cpu")));
        long all = 0;
        long elsewhere = 0;
        for (int layer = 0; layer < LAYERS; layer++) {
            for (Site site : gpu.sites(layer)) {
                for (Linear linear : site.linears()) {
                    float[] a = gpu.weight(linear).values();
                    float[] b = cpu.weight(linear).values();
                    all += a.length;
                    for (int i = 0; i < a.length; i++) {
                        elsewhere += Math.abs(a[i] - b[i]) > ELSEWHERE ? 1 : 0;
                    }
                }
            }
        }
        assertThat(all).isGreaterThan(500_000);
        return (double) elsewhere / all;
    }
}
