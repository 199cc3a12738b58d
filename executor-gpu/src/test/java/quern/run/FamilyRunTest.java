package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;
import quern.device.Device;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.format.Formats;
import quern.model.Model;
import quern.model.References;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.pass.CalibrationTokens;
import quern.run.workbench.Workbench;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.store.LocalStore;
import quern.tensor.DType;

/** Families whose linears are fused, transposed, biased or outside of the layers, from the plan to the checkpoint and back. */
class FamilyRunTest {
    private static final int LENGTH = 16;
    private static final Scheme SCHEME = new Scheme(4, 32, true, false, ColumnOrder.OFF, DType.F16);

    @TempDir
    Path folder;

    @TestFactory
    List<DynamicTest> a_checkpoint_of_eight_bits_says_what_its_source_says() {
        return References.own().stream()
                .map(reference -> dynamicTest(reference.name(), () -> {
                    boolean transposed = reference.facts().get("transposed").size() > 0;
                    Model source = Model.open(new LocalStore(reference.folder()));
                    Model written = Model.open(quantized(
                            reference.folder(), reference.name(), transposed ? "gptq" : "compressed-tensors"));
                    assertThat(written.source().lossy()).contains("8 bits in groups of");
                    assertThat(written.weightType()).isEqualTo(source.weightType());
                    assertThat(divergence(Subject.stored(written), Subject.stored(source)))
                            .isBetween(1e-12, 2e-3);
                }))
                .toList();
    }

    /** With transposed linears, and what other tools leave beside a quantized model. */
    @Test
    void a_quantized_model_is_quantized_again() throws IOException {
        Path original = folderOf("gpt2-by-layer");
        LocalStore first = quantized(original, "first", "gptq");
        first.write("quant_config.json", out -> out.write('{'));
        LocalStore second = quantized(Path.of(first.location()), "second", "gptq_v2");

        assertThat(first.list("")).contains("quantize_config.json", "quern.json");
        assertThat(second.list("")).doesNotContain("quant_config.json");
        Model written = Model.open(second);
        assertThat(written.config().quantization()).containsEntry("checkpoint_format", "gptq_v2");
        assertThat(written.source().lossy()).isEqualTo("gptq_v2, 8 bits in groups of 8");
        assertThat(written.tensors().names())
                .containsExactlyInAnyOrderElementsOf(
                        Model.open(new LocalStore(original)).tensors().names());
        assertThat(plan(Path.of(first.location()), "third", "gptq_v2").lossy())
                .isEqualTo("gptq, 8 bits in groups of 32");
        assertThat(divergence(Subject.stored(written), Subject.stored(Model.open(new LocalStore(original)))))
                .isBetween(1e-12, 4e-3);
    }

    /** The whole way, verified. */
    private LocalStore quantized(Path from, String name, String format) throws IOException {
        Plan plan = plan(from, name, format);
        LocalStore output = new LocalStore(Path.of(plan.output()));
        CalibrationTokens.write(output, plan, tokens(8));
        Quantization.Result result = new Quantization(
                        List.of(plan),
                        new LocalRunner(ToyRun.STORES, 1),
                        location -> output,
                        Quantization.Listener.SILENT)
                .run();
        new Publication(plan, Model.open(new LocalStore(from)), output)
                .publish(result.shards(), Map.of(), List::copyOf);
        for (Plan.SitePlan site : plan.sites()) {
            assertThat(Verification.site(Workbench.of(plan, ToyRun.STORES), site))
                    .isEmpty();
        }
        Workbench.release(plan);
        return output;
    }

    @Test
    void what_stands_beside_the_language_model_is_named_to_loaders() throws IOException {
        assertThat(kept("gemma3-whole")).containsExactly("vision_tower.*");
        assertThat(kept("qwen2_5_vl")).containsExactly("lm_head", "visual.*");
        assertThat(kept("opt-after")).containsExactly("model.decoder.project_in", "model.decoder.project_out");
        assertThat(kept("gpt_neox-sequential")).containsExactly("embed_out");
        assertThat(kept("granite")).isEmpty();
        assertThat(ignored("gemma3-whole")).isEqualTo(List.of("lm_head", "re:(.*\\.)?vision_tower\\..*"));
    }

    private static List<String> kept(String name) throws IOException {
        return Model.open(new LocalStore(folderOf(name))).keptOutside();
    }

    @Test
    void what_writes_to_the_residual_stream_is_found_in_the_program() throws IOException {
        assertThat(writers("granite")).containsExactlyInAnyOrder("self_attn.o_proj", "mlp.down_proj");
        assertThat(writers("opt-after")).containsExactlyInAnyOrder("self_attn.out_proj", "fc2");
        assertThat(writers("gpt_neox-sequential")).containsExactlyInAnyOrder("attention.dense", "mlp.dense_4h_to_h");
    }

    private static List<String> writers(String name) throws IOException {
        return Model.open(new LocalStore(folderOf(name))).writers(1).stream()
                .map(writer -> writer.replaceFirst(".*\\.1\\.", ""))
                .toList();
    }

    private static Object ignored(String name) throws IOException {
        return Formats.named("compressed-tensors")
                .quantizationConfig(Recipe.DEFAULT, Schemes.all(SCHEME), List.of(), kept(name))
                .get("ignore");
    }

    private static Path folderOf(String name) {
        return References.own().stream()
                .filter(reference -> reference.name().equals(name))
                .findFirst()
                .orElseThrow()
                .folder();
    }

    @TestFactory
    List<DynamicTest> a_conv1d_is_refused_where_loaders_do_not_replace_it() {
        return References.own().stream()
                .filter(reference -> reference.facts().get("transposed").size() > 0)
                .map(
                        reference -> dynamicTest(
                                reference.name(),
                                () -> assertThatThrownBy(
                                                () -> plan(reference.folder(), "refused", "compressed-tensors"))
                                        .isInstanceOf(QuernException.class)
                                        .hasMessage(
                                                "Cannot write transformer.h.0.attn.c_attn as compressed-tensors: it is a Conv1D, "
                                                        + "and the loaders of that format replace nn.Linear only (use format gptq)")))
                .toList();
    }

    private Plan plan(Path source, String name, String format) throws IOException {
        int group = format.equals("gptq") ? 32 : 8;
        Recipe recipe =
                Recipe.DEFAULT.edit().format(format).bits(8).groupSize(group).recipe();
        try (Device device = Devices.open("java")) {
            return Planner.plan(
                    Model.open(new LocalStore(source)),
                    new Planner.Request(
                            source.toString(),
                            folder.resolve(name).toString(),
                            recipe,
                            1,
                            1 << 30,
                            new Planner.Tokens("random", "0", 8, LENGTH),
                            new Planner.Machine(device.name(), device.type(), device.computeType(), 1, 1, 0)));
        }
    }

    private static List<int[]> tokens(int sequences) {
        Random random = new Random(5);
        return random.ints(sequences, 0, 64)
                .mapToObj(i -> random.ints(LENGTH, 3, 64).toArray())
                .toList();
    }

    private static double divergence(Subject quantized, Subject source) throws IOException {
        try (Device device = Devices.open("java")) {
            return Score.sum(Evaluation.scores(quantized, source, tokens(2), device))
                    .meanKl();
        }
    }
}
