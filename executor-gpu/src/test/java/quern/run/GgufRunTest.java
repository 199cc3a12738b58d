package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.device.Device;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.format.Conversion;
import quern.format.Formats;
import quern.format.gguf.GgufFamily;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.Plan;
import quern.run.workbench.RunFolder;
import quern.run.workbench.Workbench;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.source.PackedLinears;
import quern.store.Gguf;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** From a folder of safetensors to one GGUF file, read again by our own reader of such files. */
class GgufRunTest {
    @TempDir
    Path folder;

    private Path source;
    private Path output;

    @BeforeEach
    void write() throws IOException {
        source = folder.resolve("source");
        output = folder.resolve("output");
        ToyModel.write(new LocalStore(source), 2, 7);
        tokenizer("{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}");
    }

    private void tokenizer(String cut) throws IOException {
        tokenizer(cut, ToyModel.VOCABULARY - 2);
    }

    private void tokenizer(String cut, int tokens) throws IOException {
        ToyModel.tokenizer(new LocalStore(source), cut, tokens);
    }

    private static Recipe recipe(String method) {
        return Recipe.OPEN
                .edit()
                .method(method)
                .format("gguf-q4_0")
                .scales(ScaleRule.SALIENCY)
                .percdamp(0.01)
                .skip(List.of("layers\\.1\\.mlp\\.up_proj"))
                .recipe();
    }

    /** Experts are one tensor for all there, and tensors of their own here. */
    @Test
    void experts_are_stacked_and_come_back() throws Exception {
        ToyModel.writeExperts(new LocalStore(source), 2, 7, false);
        Recipe all = RecipeReader.read("{format: gguf-q4_0}", "test");
        Plan plan = ToyRun.plan(source, output, all, 0);
        LocalRunner runner = new LocalRunner(ToyRun.STORES, 2);
        ToyRun.run(plan, runner, Quantization.Listener.SILENT);
        assertThat(Verification.linears(plan, runner, new LocalStore(output))).isEmpty();

        Model original = Model.open(new LocalStore(source));
        Model written = Model.open(new LocalStore(output));
        Map<String, Gguf.Tensor> tensors =
                Gguf.read(new LocalStore(output), "model-Q4_0.gguf").tensors();
        assertThat(tensors.get("blk.1.ffn_up_exps.weight").shape()).containsExactly(8L, 32L, 64L);
        assertThat(tensors.get("blk.1.ffn_gate_inp.weight").type()).isZero();
        assertThat(written.config().modelType()).isEqualTo("qwen3_moe");
        assertThat(written.tensors().names()).containsAll(original.tensors().names());
        for (Site site : original.sites(1)) {
            for (Linear linear : site.linears()) {
                assertThat(difference(
                                original.weight(linear).values(),
                                written.weight(written.linear(1, linear.name())).values()))
                        .as(linear.name())
                        .isBetween(0.003, 0.2); // with eight experts llama.cpp gives k and v 8 bits
            }
        }
        assertThat(floats(written, "model.layers.0.mlp.gate.weight"))
                .isEqualTo(floats(original, "model.layers.0.mlp.gate.weight"));
        Workbench.release(plan);

        Recipe some = RecipeReader.read("{format: gguf-q4_0, skip: ['experts\\.3\\.up_proj']}", "test");
        assertThatThrownBy(() -> ToyRun.plan(source, output, some, 0))
                .isInstanceOf(QuernException.class)
                .hasMessage("Cannot write model.layers.0.mlp.experts.3.up_proj.weight as gguf-q4_0: it is of BF16 and"
                        + " model.layers.0.mlp.experts.0.up_proj.weight of Q4_0, and experts are one tensor there"
                        + " (skip all of a layer, or none, and override all alike)");
    }

    /** What the file says of a family is read again: it computes what its source does. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "gemma2",
                "gemma3_text",
                "gpt_neox",
                "gpt_oss",
                "mixtral",
                "olmo2",
                "phi3",
                "qwen2",
                "qwen2_moe-all",
                "qwen3",
                "qwen3_moe",
                "starcoder2",
                "llama-rope3"
            })
    void a_file_computes_what_its_source_does(String family) throws Exception {
        Path ours = Path.of("src", "test", "resources", "architectures", family);
        Path shared = Files.isDirectory(ours)
                ? ours
                : Path.of(System.getProperty("quern.architectures", "../../shared/data/architectures"), family);
        assumeTrue(Files.isDirectory(shared), () -> "no model at " + shared + ": set -Dquern.architectures");
        ObjectNode config = (ObjectNode)
                new ObjectMapper().readTree(shared.resolve("config.json").toFile());
        if (family.startsWith("gemma")) {
            config.put("query_pre_attn_scalar", 16); // which llama.cpp takes as given
        }
        if (family.equals("gpt_oss")) { // whose file would not say otherwise
            ((ObjectNode) config.get("rope_parameters")).put("truncate", true);
        }
        LocalStore store = new LocalStore(source);
        store.delete("");
        store.write("config.json", out -> out.write(config.toString().getBytes(StandardCharsets.UTF_8)));
        LocalStore model = new LocalStore(shared);
        for (String file :
                model.list("").stream().filter(f -> f.startsWith("model")).toList()) {
            store.copy(model, file, file);
        }
        tokenizer(
                "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}",
                config.get("vocab_size").asInt());
        boolean exact = Model.open(store).weightType() == DType.BF16;
        compare(store, "gguf-bf16", exact ? 1e-9 : 1e-4);
        if (Model.open(store).experts(0) > 0) { // codes go another way into one tensor of all
            compare(store, "gguf-q8_0", 0.05);
        }
    }

    private void compare(LocalStore store, String format, double limit) throws Exception {
        new LocalStore(output).delete("");
        Plan plan = ToyRun.plan(
                source, output, RecipeReader.read("{format: %s, method: rtn}".formatted(format), "test"), 0);
        LocalRunner runner = new LocalRunner(ToyRun.STORES, 2);
        ToyRun.run(plan, runner, Quantization.Listener.SILENT);
        assertThat(Verification.linears(plan, runner, new LocalStore(output))).isEmpty();

        Model written = Model.open(new LocalStore(output));
        // Beyond windows, where the file has them, and the original length of positions.
        List<int[]> tokens = ToyModel.tokens(3, Math.min(40, written.maxPositions()), 5);
        tokens.forEach(sequence -> Arrays.setAll(sequence, i -> sequence[i] % written.vocabulary()));
        try (Device device = Devices.open("java", DType.F32)) {
            Score score = Score.sum(
                    Evaluation.scores(Subject.stored(written), Subject.stored(Model.open(store)), tokens, device));
            assertThat(score.meanKl()).as(format).isLessThan(limit);
        }
        Workbench.release(plan);
    }

    @Test
    void the_file_stands_for_the_model() throws Exception {
        for (String method : List.of("gptq", "imatrix", "rtn")) {
            new LocalStore(output).delete("");
            Plan plan = ToyRun.plan(source, output, recipe(method), 0);
            Quantization.Result result =
                    ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
            Model original = Model.open(new LocalStore(source));
            List<String> findings = new Publication(plan, original, new LocalStore(output))
                    .publish(
                            result.shards(),
                            Map.of(),
                            files -> Verification.names(
                                    plan,
                                    Model.open(new LocalStore(output)).source().stored()));
            assertThat(findings).isEmpty();
            assertThat(new LocalStore(output).list("").stream().filter(f -> !f.startsWith(RunFolder.ROOT)))
                    .containsExactly("model-Q4_0.gguf", "quern.json");

            Model written = Model.open(new LocalStore(output));
            assertThat(written.config().modelType()).isEqualTo("llama");
            assertThat(written.config().headDim()).isEqualTo(original.config().headDim());
            assertThat(written.config().ropeTheta()).isEqualTo(original.config().ropeTheta());
            assertThat(written.tensors().names()).containsAll(original.tensors().names());
            for (int layer = 0; layer < 2; layer++) {
                for (Site site : original.sites(layer)) {
                    for (Linear linear : site.linears()) {
                        double error = difference(
                                original.weight(linear).values(),
                                written.weight(written.linear(layer, linear.name()))
                                        .values());
                        boolean kept = linear.name().endsWith("1.mlp.up_proj");
                        assertThat(error).as(linear.name()).isLessThan(kept ? 1e-6 : 0.2);
                        assertThat(error > 0.01).as(linear.name()).isNotEqualTo(kept);
                    }
                }
            }
            String norm = "model.layers.1.input_layernorm.weight";
            assertThat(floats(written, norm)).isEqualTo(floats(original, norm));
            assertThat(difference(floats(original, original.embedding()), floats(written, written.embedding())))
                    .isLessThan(0.02);
            Workbench.release(plan);
        }
    }

    @ParameterizedTest
    @CsvSource({"gguf-f16, F16, F16", "gguf-bf16, BF16, BF16"})
    void without_codes_all_matrices_are_of_one_type(String format, String file, DType type) throws Exception {
        Plan plan = ToyRun.plan(source, output, RecipeReader.read("{format: %s}".formatted(format), "test"), 0);
        LocalRunner runner = new LocalRunner(ToyRun.STORES, 2);
        ToyRun.run(plan, runner, Quantization.Listener.SILENT);
        assertThat(plan.recipe().method()).isEqualTo("rtn");
        assertThat(Verification.linears(plan, runner, new LocalStore(output))).isEmpty();

        Model original = Model.open(new LocalStore(source));
        Model written = Model.open(new LocalStore(output));
        Map<String, Gguf.Tensor> tensors =
                Gguf.read(new LocalStore(output), "model-" + file + ".gguf").tensors();
        assertThat(tensors.get("token_embd.weight").type()).isEqualTo(file.equals("F16") ? 1 : 30);
        assertThat(tensors.get("blk.1.ffn_down.weight").type()).isEqualTo(file.equals("F16") ? 1 : 30);
        for (String name : original.tensors().names()) {
            float[] expected = floats(original, name);
            boolean matrix = original.tensors().spec(name).shape().size() > 1;
            for (int i = 0; matrix && i < expected.length; i++) {
                expected[i] = HalfFloats.round(expected[i], type);
            }
            assertThat(floats(written, name)).as(name).isEqualTo(expected);
        }
        Workbench.release(plan);
    }

    @Test
    void what_half_floats_cannot_hold_is_refused() throws Exception {
        largeValue("model.layers.1.mlp.up_proj.weight");
        Plan plan = ToyRun.plan(source, output, RecipeReader.read("{format: gguf-f16}", "test"), 0);
        assertThatThrownBy(() -> ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT))
                .hasStackTraceContaining(
                        "Cannot write model.layers.1.mlp.up_proj.weight in half floats: it holds 70144")
                .hasStackTraceContaining("use --format gguf-bf16");
        Workbench.release(plan);
    }

    @Test
    void a_method_without_codes_to_choose_is_refused() {
        assertThatThrownBy(() ->
                        ToyRun.plan(source, output, RecipeReader.read("{format: gguf-f16, method: gptq}", "test"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot use method gptq for format gguf-f16: it has no codes to choose (leave --method away)");
    }

    /** Its head is a tensor of its own after a rotation; a weight that is not its neighbours' would cost far more. */
    @ParameterizedTest
    @CsvSource({"hadamard, rtn", "hadamard, gptq", "awq, rtn", "awq, imatrix"})
    void a_transformed_model_computes_the_same(String transform, String method) throws Exception {
        String recipe = "{format: gguf-q8_0, method: %s, transform: %s}".formatted(method, transform);
        Plan plan = ToyRun.plan(source, output, RecipeReader.read(recipe, "test"), 0);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);

        Model written = Model.open(new LocalStore(output));
        assertThat(written.tied()).isEqualTo(!transform.equals("hadamard"));
        Score sum = Score.NONE;
        try (Device device = Devices.open("java", DType.F32)) {
            for (Score score : Evaluation.scores(
                    Subject.stored(written),
                    Subject.stored(Model.open(new LocalStore(source))),
                    ToyModel.tokens(4, 32, 3),
                    device)) {
                sum = sum.plus(score);
            }
        }
        assertThat(sum.meanKl()).isBetween(1e-12, 1e-3);
        Workbench.release(plan);
    }

    @Test
    void the_tokenizer_stands_in_the_file() throws Exception {
        Plan plan = ToyRun.plan(source, output, recipe("rtn"), 0);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1), Quantization.Listener.SILENT);
        Map<String, Object> metadata =
                Gguf.read(new LocalStore(output), "model-Q4_0.gguf").metadata();

        assertThat(list(metadata, "tokenizer.ggml.tokens"))
                .hasSize(ToyModel.VOCABULARY)
                .startsWith("<s>", "t1")
                .endsWith("[PAD" + (ToyModel.VOCABULARY - 1) + "]");
        assertThat(list(metadata, "tokenizer.ggml.token_type"))
                .startsWith(3L, 1L)
                .endsWith(5L);
        assertThat(metadata)
                .containsEntry("tokenizer.ggml.model", "gpt2")
                .containsEntry("tokenizer.ggml.pre", "gpt-2")
                .containsEntry("tokenizer.ggml.merges", List.of("a\u0120b c"))
                .containsEntry("general.file_type", 2L);
        Workbench.release(plan);
    }

    @Test
    void what_is_no_proof_leaves_no_model() throws Exception {
        Plan plan = ToyRun.plan(source, output, recipe("rtn"), 0);
        Quantization.Result result = ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 1), Quantization.Listener.SILENT);
        Publication publication = new Publication(plan, Model.open(new LocalStore(source)), new LocalStore(output));

        assertThatThrownBy(() -> publication.publish(result.shards(), Map.of(), files -> {
                    throw new IOException("no");
                }))
                .hasMessage("no");
        assertThat(new LocalStore(output).list("")).noneMatch(file -> file.endsWith(".gguf"));
        Workbench.release(plan);
    }

    @Test
    void what_llama_cpp_could_not_run_is_refused_before_anything_is_done() throws Exception {
        tokenizer("{\"type\": \"Whitespace\"}");
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("its tokenizer is neither byte-level BPE nor that of SentencePiece");
        tokenizer("{\"type\": \"ByteLevel\", \"add_prefix_space\": true}");
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("its tokenizer cuts text by [a space before it]");
        new LocalStore(source).delete("tokenizer.json");
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("it has no tokenizer.json");
        ToyModel.writeExperts(new LocalStore(source), 2, 7);
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining(
                        "layer 0 has no experts, and llama.cpp runs the family with experts in all (use another"
                                + " format)");
        ToyModel.writeStacked(new LocalStore(source), 2, 7);
        assertThatThrownBy(() -> ToyRun.plan(source, output, recipe("rtn"), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("its attention_bias is false, and llama.cpp runs the family with true");
        assertThatThrownBy(() -> GgufFamily.written("opt"))
                .isInstanceOf(QuernException.class)
                .hasMessage("Cannot write a model of type opt as GGUF: that is written of gemma2, gemma3_text,"
                        + " gpt_neox, gpt_oss, llama, mistral, mixtral, olmo2, phi3, qwen2, qwen2_moe, qwen3,"
                        + " qwen3_moe, starcoder2 (use another format)");
    }

    /** Our reader of blocks and the conversion's codes go different ways to the same numbers, which the reader shows as half floats. */
    @ParameterizedTest
    @CsvSource({
        "gguf-q4_0, gptq, 4", "gguf-q4_0, awq, 4", "gguf-q4_0, compressed-tensors, 4",
        "gguf-q5_0, gptq, 8", "gguf-q8_0, gptq, 8", "gguf-q8_0, compressed-tensors, 8"
    })
    void its_codes_have_a_place_in_other_formats(String from, String to, int bits) throws Exception {
        blankBlock("model.layers.0.self_attn.q_proj.weight");
        Plan plan =
                ToyRun.plan(source, output, RecipeReader.read("{format: %s, method: rtn}".formatted(from), "test"), 0);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        Model written = Model.open(new LocalStore(output));
        PackedLinears packed = PackedLinears.of(written.source(), null);
        assertThat(packed.format().name()).isEqualTo(from);
        assertThat(packed.names()).hasSize(2 * 7);
        Conversion conversion = new Conversion(packed.format(), Formats.named(to));
        for (int layer = 0; layer < 2; layer++) {
            for (Site site : written.sites(layer)) {
                for (Linear linear : site.linears()) {
                    Scheme before = packed.scheme(linear.name(), linear.outputs(), linear.inputs());
                    Scheme after = conversion.scheme(before, linear.name(), linear.outputs(), linear.inputs());
                    assertThat(after.bits()).isEqualTo(bits);
                    assertThat(Conversion.bound(before, after)).isZero();
                    QuantizedLinear converted = conversion.of(linear.name(), packed.read(linear.name()), after);
                    assertThat(converted.scales()).doesNotContain(0f);
                    float[] values = converted.dequantize().values();
                    for (int i = 0; i < values.length; i++) {
                        values[i] = HalfFloats.round(values[i], DType.F16) + 0f;
                    }
                    assertThat(values)
                            .as(linear.name())
                            .isEqualTo(unsigned(written.weight(linear).values()));
                }
            }
        }
        Workbench.release(plan);
    }

    /** Without negative zeros. */
    private static float[] unsigned(float[] values) {
        float[] all = values.clone();
        for (int i = 0; i < all.length; i++) {
            all[i] += 0f;
        }
        return all;
    }

    @Test
    void minima_have_no_place_where_zero_points_are_codes() throws Exception {
        Plan plan = ToyRun.plan(source, output, RecipeReader.read("{format: gguf-q4_1, method: rtn}", "test"), 0);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        PackedLinears packed =
                PackedLinears.of(Model.open(new LocalStore(output)).source(), null);
        String linear = packed.names().get(0);
        QuantizedLinear q = packed.read(linear);
        for (String to : List.of("gptq", "hqq")) {
            Conversion conversion = new Conversion(packed.format(), Formats.named(to));
            Scheme after = conversion.scheme(q.scheme(), linear, q.outputs(), q.inputs());
            assertThatThrownBy(() -> conversion.of(linear, q, after))
                    .isInstanceOf(QuernException.class)
                    .hasMessageContaining("it has a zero point of ");
        }
        Workbench.release(plan);
    }

    /** The first 32 values of a tensor of BF16 become zero. */
    private void blankBlock(String tensor) throws IOException {
        overwrite(tensor, new byte[64]);
    }

    /** The first value of a tensor of BF16 becomes 70144. */
    private void largeValue(String tensor) throws IOException {
        overwrite(tensor, new byte[] {(byte) 0x89, 0x47});
    }

    private void overwrite(String tensor, byte[] bytes) throws IOException {
        try (RandomAccessFile file =
                new RandomAccessFile(source.resolve("model.safetensors").toFile(), "rw")) {
            int length = (int) Long.reverseBytes(file.readLong());
            byte[] header = new byte[length];
            file.readFully(header);
            file.seek(8
                    + length
                    + new ObjectMapper()
                            .readTree(header)
                            .get(tensor)
                            .get("data_offsets")
                            .get(0)
                            .asLong());
            file.write(bytes);
        }
    }

    private static List<Object> list(Map<String, Object> metadata, String key) {
        return new ArrayList<>((List<?>) metadata.get(key));
    }

    private static float[] floats(Model model, String tensor) throws IOException {
        DType type = model.tensors().spec(tensor).dtype();
        return HalfFloats.toFloats(model.tensors().read(tensor), type, (int)
                model.tensors().spec(tensor).elements());
    }

    /** Of the norm of the first. */
    private static double difference(float[] a, float[] b) {
        double error = 0;
        double norm = 0;
        for (int i = 0; i < a.length; i++) {
            error += (a[i] - b[i]) * (a[i] - b[i]);
            norm += a[i] * a[i];
        }
        return Math.sqrt(error / norm);
    }
}
