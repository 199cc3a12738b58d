package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import quern.interop.LoadCase.Loader;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.store.Gguf;
import quern.store.LocalStore;

/** Files in llama.cpp, and in transformers' reader of them: logits, and the ids that text becomes. */
@Tag("interop")
class GgufInteropTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path WORK = LoadCases.WORK.resolve("gguf");
    private static final Path DEMO = Path.of("src", "main", "resources", "quern", "demo", "quern-stories-4m")
            .toAbsolutePath();
    private static final Path SHARED =
            Path.of(System.getProperty("quern.shared", "../../shared"), "data", "architectures");

    /** Shorter than every window: llama.cpp knows of none in these families. */
    private static final int LENGTH = 12;

    private static final List<String> TEXTS = List.of(
            "Once upon a time, there was a little girl named Lily.",
            "It's 12:30 -- 1234567 cats & DON'T  stop!\n\n  Two  spaces\tand\ttabs. ",
            "Größe, naïve café, \u4f60\u597d \u4e16\u754c, \ud83d\ude00 (x_1 = 3.14e-5)",
            " leading and trailing ",
            "a<|end_of_text|>b");

    @TestFactory
    Stream<DynamicTest> every_mixture_is_run_as_the_weights_that_it_stands_for() throws Exception {
        List<LoadCase> cases = new ArrayList<>();
        for (Loads load : Loads.of("gguf")) {
            if (load.words().get(0).equals("demo")) {
                add(cases, "demo", DEMO, load.words().get(1), 2048, load.programs());
            }
        }
        return LoadCases.tests("gguf", cases);
    }

    @TestFactory
    Stream<DynamicTest> families_are_run_as_the_weights_that_they_stand_for() throws Exception {
        assumeTrue(Files.isDirectory(SHARED), "needs data/architectures of the shared test data, see -Dquern.shared");
        List<LoadCase> cases = new ArrayList<>();
        for (Loads load : Loads.of("gguf")) {
            String family = load.words().get(0);
            if (!family.equals("demo")) {
                Path ours = FamilyInteropTest.OURS.resolve(family);
                Path source = withTokenizer(
                        Files.isDirectory(ours) ? ours : SHARED.resolve(family),
                        WORK.resolve("sources").resolve(family));
                amend(source.resolve("config.json"));
                add(cases, family, source, load.words().get(1), 60, load.programs());
            }
        }
        return LoadCases.tests("gguf-families", cases);
    }

    /** Of the demo's vocabulary, cut in each of the ways that have a name there. */
    @TestFactory
    Stream<DynamicTest> text_becomes_the_ids_of_the_tokenizer() throws Exception {
        List<ObjectNode> cases = new ArrayList<>();
        for (String cut : List.of("as it is", "digits", "llama-bpe", "qwen2", "tekken", "gpt-4o", "pieces")) {
            Path source = WORK.resolve("tokenizers").resolve(cut);
            copy(DEMO, source);
            ObjectNode tokenizer =
                    (ObjectNode) JSON.readTree(DEMO.resolve("tokenizer.json").toFile());
            Tokenizers.cut(tokenizer, cut);
            JSON.writeValue(source.resolve("tokenizer.json").toFile(), tokenizer);
            Path checkpoint = source.resolveSibling(cut + ", written");
            FamilyInteropTest.quantize(source, checkpoint, recipe("gguf-q4_0"));
            ObjectNode each = JSON.createObjectNode();
            each.put("name", "tokens of " + cut);
            each.put("checkpoint", checkpoint.toString());
            each.put("tokenizer", source.resolve("tokenizer.json").toString());
            ArrayNode texts = each.putArray("texts");
            TEXTS.forEach(texts::add);
            cases.add(each);
        }
        Path asked = WORK.resolve("tokens.json");
        Path answered = WORK.resolve("tokens.jsonl");
        JSON.writeValue(asked.toFile(), cases);
        Python.environment("main")
                .run(
                        Python.program("same_tokens.py"),
                        List.of(asked.toString(), answered.toString()),
                        WORK.resolve("log-tokens.txt"));
        List<DynamicTest> tests = new ArrayList<>();
        for (String line : Files.readAllLines(answered)) {
            JsonNode result = JSON.readTree(line);
            tests.add(DynamicTest.dynamicTest(
                    result.get("name").asText(),
                    () -> assertThat(result.get("different")).isEmpty()));
        }
        assertThat(tests).hasSameSizeAs(cases);
        return tests.stream();
    }

    /** What llama.cpp takes as given in a family, and the tiny model has otherwise to show that it is read. */
    private static void amend(Path file) throws IOException {
        ObjectNode config = (ObjectNode) JSON.readTree(file.toFile());
        switch (config.get("model_type").asText()) {
            case "gemma2", "gemma3_text" -> config.put("query_pre_attn_scalar", 16);
            case "gpt_oss" -> ((ObjectNode) config.get("rope_parameters")).put("truncate", true);
            case "phi3" -> { // with room for 256 tokens, the fewest, it takes the factors of what is beyond the
                // original length
                config.put("original_max_position_embeddings", 256).put("max_position_embeddings", 512);
                ((ObjectNode) config.get("rope_parameters")).put("original_max_position_embeddings", 256);
            }
            default -> {}
        }
        JSON.writeValue(file.toFile(), config);
    }

    /** The file in each program, and a broken copy in the first. */
    private static void add(
            List<LoadCase> cases, String name, Path source, String format, int vocabulary, Loader... loaders)
            throws IOException {
        Path folder = WORK.resolve(name + "-" + format);
        Path checkpoint = folder.resolve("checkpoint");
        FamilyInteropTest.quantize(source, checkpoint, recipe(format));
        DenseCopy.write(checkpoint, folder.resolve("dense"));
        // What the file says of the model is under test too: the reference has the model's own config.
        ObjectNode config =
                (ObjectNode) JSON.readTree(source.resolve("config.json").toFile());
        config.put("dtype", "float32").remove("torch_dtype");
        JSON.writeValue(folder.resolve("dense").resolve("config.json").toFile(), config);
        var reference = new LoadCase.Reference.Dense(folder.resolve("dense"), LoadCases.tokens(LENGTH, vocabulary));
        for (Loader loader : loaders) {
            cases.add(new LoadCase(
                    name + ", " + format + ", in " + loader.program, loader, checkpoint, reference, false));
        }
        Path broken = folder.resolve("broken");
        copy(checkpoint, broken);
        breakValues(broken);
        cases.add(new LoadCase(
                name + ", " + format + ", broken, in " + loaders[0].program, loaders[0], broken, reference, true));
    }

    private static Recipe recipe(String format) {
        return Recipe.OPEN
                .edit()
                .method("rtn")
                .format(format)
                .actOrder(ColumnOrder.OFF)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .recipe();
    }

    /** Rows of the values of the first layer change places, with those that they are fused with. */
    private static void breakValues(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            Path file = files.filter(f -> f.toString().endsWith(".gguf"))
                    .findFirst()
                    .orElseThrow();
            var tensors = Gguf.read(new LocalStore(folder), file.getFileName().toString())
                    .tensors();
            Gguf.Tensor values = tensors.getOrDefault("blk.0.attn_v.weight", tensors.get("blk.0.attn_qkv.weight"));
            Gguf.Tensor next = tensors.values().stream()
                    .filter(t -> t.offset() > values.offset())
                    .min(Comparator.comparingLong(Gguf.Tensor::offset))
                    .orElseThrow();
            byte[] bytes = Files.readAllBytes(file);
            int rows = values.shape().get(0).intValue();
            int length = (int) (next.offset() - values.offset()) / rows;
            byte[] original = Arrays.copyOfRange(bytes, (int) values.offset(), (int) values.offset() + rows * length);
            for (int r = 0; r < rows; r++) {
                System.arraycopy(original, (rows - 1 - r) * length, bytes, (int) values.offset() + r * length, length);
            }
            Files.write(file, bytes);
        }
    }

    /** A tiny model with as many tokens as its embedding has rows: the first of the demo's, which are bytes. */
    private static Path withTokenizer(Path model, Path to) throws IOException {
        copy(model, to);
        int rows = JSON.readTree(model.resolve("config.json").toFile())
                .get("vocab_size")
                .asInt();
        ObjectNode tokenizer =
                (ObjectNode) JSON.readTree(DEMO.resolve("tokenizer.json").toFile());
        ObjectNode bpe = (ObjectNode) tokenizer.get("model");
        ((ObjectNode) bpe.get("vocab"))
                .properties()
                .removeIf(token -> token.getValue().asInt() >= rows);
        bpe.putArray("merges");
        JSON.writeValue(to.resolve("tokenizer.json").toFile(), tokenizer);
        Files.copy(
                DEMO.resolve("tokenizer_config.json"),
                to.resolve("tokenizer_config.json"),
                StandardCopyOption.REPLACE_EXISTING);
        return to;
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.createDirectories(to);
        try (Stream<Path> files = Files.list(from)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, to.resolve(file.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }
}
