package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.model.DecoderLayer;
import quern.model.Entry;
import quern.model.Model;
import quern.model.Site;
import quern.model.Tap;
import quern.model.Weights;
import quern.plan.Plan;
import quern.scheme.Recipe;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** A mixture of experts from the plan to the checkpoint: some experts are reached by many tokens, one by few, one by none. */
class ExpertRunTest {
    private static final int LAYERS = 3;
    private static final int EXPERTS = 8;
    private static final int TOKENS = 24 * 32;

    @TempDir
    Path folder;

    private Path source;

    @BeforeEach
    void writeModel() throws IOException {
        source = folder.resolve("source");
        ToyModel.writeExperts(new LocalStore(source), LAYERS, 7);
    }

    private Plan plan(String output, Recipe recipe, int stages) throws IOException {
        return ToyRun.plan(source, folder.resolve(output), recipe, stages);
    }

    private static LocalRunner runner(int threads) {
        return new LocalRunner(ToyRun.STORES, threads);
    }

    /** By full precision, one sequence after the other: how many tokens each expert of a layer gets, by another way than a run's. */
    private int[] counted(int layer) throws IOException {
        Model model = Model.open(new LocalStore(source));
        int[] counts = new int[EXPERTS];
        try (Device device = Devices.open("cpu", DType.F32);
                Entry entry = Entry.load(model, device)) {
            for (int[] tokens : ToyModel.tokens(24, 32, 1)) {
                Matrix hidden;
                try (DeviceMatrix x = entry.forward(tokens, tokens.length)) {
                    hidden = device.download(x);
                }
                for (int l = 0; l <= layer; l++) {
                    int last = l;
                    Tap tap = new Tap() {
                        @Override
                        public void input(Site site, DeviceMatrix x) {}

                        @Override
                        public void routed(int routed, Matrix weights) {
                            for (int i = 0; last == layer && i < weights.values().length; i++) {
                                counts[i % EXPERTS] += weights.values()[i] == 0 ? 0 : 1;
                            }
                        }
                    };
                    try (DecoderLayer decoder = DecoderLayer.load(model, l, Weights.stored(model), device);
                            DeviceMatrix x = device.upload(hidden, DType.F32);
                            DeviceMatrix y = decoder.forward(x, tokens.length, tap)) {
                        hidden = device.download(y);
                    }
                }
            }
        }
        return counts;
    }

    @Test
    void every_expert_is_calibrated_with_the_tokens_that_reach_it() throws IOException {
        Plan plan = plan("out", ToyRun.recipe(), LAYERS);
        Quantization.Result result = ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        Map<String, SiteManifest> byLinear = new HashMap<>();
        result.sites().forEach(site -> site.linears().forEach(l -> byLinear.put(l.name(), site)));
        assertThat(byLinear).hasSize(LAYERS * 4 + 3 + (LAYERS - 1) * EXPERTS * 3);
        assertThat(byLinear.get("model.layers.1.self_attn.q_proj").tokens()).isEqualTo(TOKENS);
        int[] counts = counted(1);
        int few = 0;
        int none = 0;
        for (int e = 0; e < EXPERTS; e++) {
            for (String linear : List.of("gate_proj", "up_proj", "down_proj")) {
                String name = "model.layers.1.mlp.experts." + e + "." + linear;
                SiteManifest site = byLinear.get(name);
                // Operands are rounded in a run, so a token or two may go elsewhere.
                assertThat((int) site.tokens()).as(name).isBetween(counts[e] - 3, counts[e] + 3);
                List<String> notes = site.linears().stream()
                        .filter(l -> l.name().equals(name))
                        .flatMap(l -> l.notes().stream())
                        .toList();
                int inputs = linear.equals("down_proj") ? 32 : 64;
                if (site.tokens() == 0) {
                    none++;
                    assertThat(notes).containsExactly("no calibration token reached it; rounded to nearest");
                } else if (site.tokens() < inputs) {
                    few++;
                    assertThat(notes).singleElement().asString().contains(" calibration tokens reached this expert");
                } else {
                    assertThat(notes).as(name).isEmpty();
                }
            }
        }
        assertThat(none).as("linears of experts without tokens").isEqualTo(3);
        assertThat(few).as("linears of experts with few").isPositive();
        assertThat(folder.resolve("out/_quern/" + plan.id() + "/hessians").toFile())
                .satisfiesAnyOf(
                        f -> assertThat(f).doesNotExist(), f -> assertThat(f).isEmptyDirectory());
        Workbench bench = Workbench.of(plan, ToyRun.STORES);
        for (Plan.SitePlan site : plan.sites()) {
            assertThat(Verification.site(bench, site)).isEmpty();
        }
    }

    @Test
    void routers_are_kept_for_a_reason_and_named_to_loaders() throws IOException {
        Plan plan = plan("out", ToyRun.recipe(), LAYERS);
        assertThat(plan.kept())
                .containsExactly(
                        new Plan.Kept("model.layers.1.mlp.gate", "it decides where tokens go, and is small"),
                        new Plan.Kept("model.layers.2.mlp.gate", "it decides where tokens go, and is small"));
        ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        Map<String, Object> quantization = Model.openToEvaluate(new LocalStore(folder.resolve("out")))
                .config()
                .quantization();
        assertThat(quantization.get("dynamic").toString()).contains("-:^model\\.layers\\.1\\.mlp\\.gate$");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, LAYERS})
    void the_number_of_threads_does_not_matter(int stages) throws IOException {
        ToyRun.run(plan("one", ToyRun.recipe(), stages), runner(1), Quantization.Listener.SILENT);
        ToyRun.run(plan("two", ToyRun.recipe(), stages), runner(2), Quantization.Listener.SILENT);
        assertThat(ToyRun.bytes(folder.resolve("two"))).isEqualTo(ToyRun.bytes(folder.resolve("one")));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, LAYERS})
    void a_run_resumes_to_the_same_bytes(int stages) throws IOException {
        ToyRun.run(plan("whole", ToyRun.recipe(), stages), runner(2), Quantization.Listener.SILENT);
        for (int survived : List.of(0, 9, 20, 37)) {
            Plan plan = plan("cut" + survived, ToyRun.recipe(), stages);
            AtomicInteger left = new AtomicInteger(survived);
            assertThatThrownBy(() -> ToyRun.run(plan, runner(2), new Quantization.Listener() {
                        @Override
                        public void stage(String name, int begin, int end) {}

                        @Override
                        public void site(SiteManifest manifest, double lossRatio) {
                            if (left.getAndDecrement() == 0) {
                                throw new IllegalStateException("cut off");
                            }
                        }

                        @Override
                        public void writing(int shards) {}
                    }))
                    .hasMessage("cut off");
            ToyRun.run(plan, runner(1), Quantization.Listener.SILENT);
            assertThat(ToyRun.bytes(folder.resolve("cut" + survived))).isEqualTo(ToyRun.bytes(folder.resolve("whole")));
        }
    }

    /** All experts at one step are one turn: a pass for each of them would be hundreds. */
    @Test
    void true_sequential_takes_all_experts_of_a_step_together() throws IOException {
        Recipe r = ToyRun.recipe();
        Recipe sequential = new Recipe(
                r.method(),
                r.format(),
                r.bits(),
                r.groupSize(),
                r.symmetric(),
                r.ternary(),
                r.actOrder(),
                r.scales(),
                r.percdamp(),
                true,
                r.skip());
        Plan plan = plan("seq", sequential, 1);
        assertThat(plan.ranks(1)).containsExactly(0, 1, 2, 3);
        assertThat(plan.sites(1, 2).stream().collect(Collectors.groupingBy(Plan.SitePlan::rank, Collectors.counting())))
                .containsExactlyInAnyOrderEntriesOf(Map.of(0, 1L, 1, 1L, 2, 8L, 3, 8L));
        Quantization.Result result = ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        assertThat(result.sites()).hasSameSizeAs(plan.sites());
    }
}
