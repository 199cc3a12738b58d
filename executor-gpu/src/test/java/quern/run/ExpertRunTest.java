package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
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
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Workbench;
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
                        public void input(Site site, DeviceMatrix x, @Nullable DeviceMatrix stream) {}

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
        Map<String, SiteManifest> byLinear = byLinear(result);
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
                List<String> notes = notes(byLinear, name);
                int inputs = linear.equals("down_proj") ? 32 : 64;
                if (site.tokens() == 0) {
                    none++;
                    assertThat(notes)
                            .containsExactly(
                                    "no calibration token reached this expert; its Hessian is that of all experts"
                                            + " of the layer");
                } else if (site.tokens() < 4 * inputs) {
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

    /** Experts whose tokens lie in some parts only, and the pools of all of them. */
    @Test
    void the_bytes_do_not_depend_on_how_many_parts_a_task_takes() throws IOException {
        for (int stages : new int[] {1, LAYERS}) {
            Map<String, String> bytes = null;
            for (int together : new int[] {1, 2, 4}) {
                String output = "together-" + together + "-" + stages;
                Plan plan = ToyRun.plan(source, folder.resolve(output), ToyRun.recipe(), stages, 45);
                ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2, together), Quantization.Listener.SILENT);
                Map<String, String> own = ToyRun.bytes(folder.resolve(output));
                bytes = bytes == null ? own : bytes;
                assertThat(own).as("%d stages, %d together", stages, together).isEqualTo(bytes);
            }
        }
    }

    /** 23 of 768 tokens reach it, so 45 further sequences of 32 are enough for its 32 columns behind the gate, and for 64 not. */
    @Test
    void further_text_is_drawn_on_for_experts_that_too_few_tokens_reach() throws IOException {
        Plan plan = ToyRun.plan(source, folder.resolve("more"), ToyRun.recipe(), LAYERS, 45);
        assertThat(plan.calibration().sequences()).isEqualTo(24);
        assertThat(plan.calibration().further().rounds()).hasSize(4);
        assertThat(plan.calibration().allParts())
                .extracting(Plan.Part::index)
                .containsExactlyElementsOf(IntStream.range(0, 4 + 4 * 4).boxed().toList());
        Quantization.Result result = ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        Map<String, SiteManifest> without =
                byLinear(ToyRun.run(plan("without", ToyRun.recipe(), LAYERS), runner(2), Quantization.Listener.SILENT));
        Map<String, SiteManifest> with = byLinear(result);
        String last = "model.layers.1.mlp.experts.7.up_proj";
        assertThat(with.get(last).further()).isZero();
        assertThat(notes(with, last))
                .containsExactly(
                        "0 of the 0 tokens that calibrated it are of further text, drawn on for it",
                        "no calibration token reached this expert; its Hessian is that of all experts of the layer");
        String gate = "model.layers.1.mlp.experts.6.gate_proj";
        String down = "model.layers.1.mlp.experts.6.down_proj";
        assertThat(with.get(down).tokens()).isGreaterThanOrEqualTo(32);
        assertThat(with.get(gate).tokens()).isGreaterThan(with.get(down).tokens());
        for (String linear : List.of(gate, down)) {
            assertThat(with.get(linear).tokens() - with.get(linear).further())
                    .isEqualTo(without.get(linear).tokens());
            assertThat(notes(with, linear).get(0)).endsWith("are of further text, drawn on for it");
        }
        assertThat(notes(with, down).get(1)).contains(" calibration tokens reached this expert, which has 32 inputs");
        for (String name : List.of("model.layers.1.mlp.experts.0.gate_proj", "model.layers.1.self_attn.q_proj")) {
            assertThat(with.get(name).sha256()).isEqualTo(without.get(name).sha256());
            assertThat(with.get(name).further()).isEqualTo(-1);
        }
        ToyRun.run(
                ToyRun.plan(source, folder.resolve("again"), ToyRun.recipe(), LAYERS, 45),
                runner(1),
                Quantization.Listener.SILENT);
        assertThat(ToyRun.bytes(folder.resolve("again"))).isEqualTo(ToyRun.bytes(folder.resolve("more")));
    }

    private static Map<String, SiteManifest> byLinear(Quantization.Result result) {
        Map<String, SiteManifest> byLinear = new HashMap<>();
        result.sites().forEach(site -> site.linears().forEach(l -> byLinear.put(l.name(), site)));
        return byLinear;
    }

    private static List<String> notes(Map<String, SiteManifest> byLinear, String name) {
        return byLinear.get(name).linears().stream()
                .filter(l -> l.name().equals(name))
                .flatMap(l -> l.notes().stream())
                .toList();
    }

    @Test
    void routers_are_kept_for_a_reason_and_named_to_loaders() throws IOException {
        Plan plan = plan("out", ToyRun.recipe(), LAYERS);
        assertThat(plan.kept())
                .containsExactly(
                        new Plan.Kept("model.layers.1.mlp.gate", "it decides where tokens go, and is small"),
                        new Plan.Kept("model.layers.2.mlp.gate", "it decides where tokens go, and is small"));
        ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        Map<String, Object> quantization =
                Model.open(new LocalStore(folder.resolve("out"))).config().quantization();
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
        ToyRun.run(
                ToyRun.plan(source, folder.resolve("whole"), ToyRun.recipe(), stages, 20),
                runner(2),
                Quantization.Listener.SILENT);
        int sites = plan("counted", ToyRun.recipe(), stages).sites().size();
        for (int survived : List.of(0, 9, 20, 37, sites)) { // the last one, of those that are quantized anew
            Plan plan = ToyRun.plan(source, folder.resolve("cut" + survived), ToyRun.recipe(), stages, 20);
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

    /** Tasks hand over what they wrote one after the other: the sites of one step, though an expert has its two beside each other. */
    @ParameterizedTest
    @ValueSource(ints = {1, 4})
    void experts_of_one_shape_are_solved_together(int together) throws IOException {
        Plan plan = plan("batches" + together, ToyRun.recipe(), LAYERS);
        List<Plan.SitePlan> solved = new ArrayList<>();
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1, together), new Quantization.Listener() {
            @Override
            public void stage(String name, int begin, int end) {}

            @Override
            public void site(SiteManifest manifest, double lossRatio) {
                boolean waited = manifest.linears().stream()
                        .anyMatch(linear -> !linear.notes().isEmpty());
                plan.sites().stream()
                        .filter(s -> s.key() == manifest.key() && s.ofExpert() && !waited)
                        .forEach(solved::add);
            }

            @Override
            public void writing(int shards) {}
        });
        for (int layer = 1; layer < LAYERS; layer++) {
            int own = layer;
            List<Integer> inputs = solved.stream()
                    .filter(s -> s.layer() == own)
                    .map(Plan.SitePlan::inputs)
                    .toList();
            long changes = IntStream.range(1, inputs.size())
                    .filter(i -> !inputs.get(i).equals(inputs.get(i - 1)))
                    .count();
            assertThat(inputs).hasSizeGreaterThan(6);
            assertThat(changes).as("of shape, among " + inputs).isEqualTo(1);
        }
    }

    /** All experts at one step are one turn: a pass for each of them would be hundreds. */
    @ParameterizedTest
    @ValueSource(strings = {"gptq", "gptaq"})
    void true_sequential_takes_all_experts_of_a_step_together(String method) throws IOException {
        Recipe recipe = ToyRun.recipe(method).edit().trueSequential(true).recipe();
        Plan plan = plan("seq", recipe, 1);
        assertThat(plan.ranks(1)).containsExactly(0, 1, 2, 3);
        assertThat(plan.sites(1, 2).stream().collect(Collectors.groupingBy(Plan.SitePlan::rank, Collectors.counting())))
                .containsExactlyInAnyOrderEntriesOf(Map.of(0, 1L, 1, 1L, 2, 8L, 3, 8L));
        Quantization.Result result = ToyRun.run(plan, runner(2), Quantization.Listener.SILENT);
        assertThat(result.sites()).hasSameSizeAs(plan.sites());
    }
}
