package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import quern.app.Application;
import quern.interop.LoadCase.Loader;
import quern.report.LoadGuide;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;

/** A load that does not raise proves nothing: the logits must be those of the weights that we think are stored. */
@Tag("interop")
class InteropTest {
    private static final int[][] TOKENS = LoadCases.tokens(48, 2048);
    private static final Path WORK = LoadCases.WORK;
    private static final Path KNOWN_GOOD = Path.of(System.getProperty("quern.shared", ""), "interop", "known-good");
    private static Application application;

    @BeforeAll
    static void begin() {
        System.setProperty("spark.master", "local[2]");
        System.setProperty("spark.ui.enabled", "false");
        application = new Application();
    }

    @AfterAll
    static void end() {
        application.close();
        System.clearProperty("spark.master");
        System.clearProperty("spark.ui.enabled");
    }

    /** All of them in one process for each environment: it takes longer to start than to load a checkpoint. */
    @TestFactory
    Stream<DynamicContainer> checkpoints_load_as_the_weights_that_they_stand_for() throws Exception {
        Map<String, List<LoadCase>> groups = new LinkedHashMap<>();
        groups.put("checkpoints of other tools, as known", ofOtherTools());
        groups.put("our formats", packed());
        groups.put("what quantize writes", quantized("quantize"));
        groups.put("other formats", quantized("other"));
        groups.put("formats of servers, and fixed scales", quantized("server"));
        groups.put("what convert writes", converted());
        groups.put("transformed models", transformed());
        return LoadCases.tests("loads", groups);
    }

    /** The harness itself, on checkpoints that other tools wrote, so that a red test below means our bytes. */
    private static List<LoadCase> ofOtherTools() throws IOException {
        List<LoadCase> cases = new ArrayList<>();
        for (String name : List.of("gptq-4bit-sym-v1", "ct-w4a16")) {
            Path checkpoint = KNOWN_GOOD.resolve(name);
            if (!Files.isDirectory(checkpoint)) {
                return List.of(); // a test of its own says so
            }
            var reference = new LoadCase.Reference.Logits(checkpoint.resolve("expected/logits.safetensors"));
            Path broken =
                    BrokenCheckpoint.copy(checkpoint, WORK.resolve("broken").resolve(name));
            for (Loader loader : List.of(Loader.TRANSFORMERS, Loader.VLLM)) {
                cases.add(new LoadCase(name + " in " + loader.program, loader, checkpoint, reference, false));
                cases.add(new LoadCase(name + " broken, in " + loader.program, loader, broken, reference, true));
            }
        }
        return cases;
    }

    @Test
    void checkpoints_of_other_tools_are_there() {
        assumeTrue(
                Files.isDirectory(KNOWN_GOOD), "needs interop/known-good of the shared test data, see -Dquern.shared");
    }

    /** Every scheme that the loaders read, of the demo model. */
    private static List<LoadCase> packed() throws IOException {
        List<LoadCase> cases = new ArrayList<>();
        for (Loads each : Loads.of("packed")) {
            add(cases, recipe(each.words()), each.programs());
        }
        return cases;
    }

    /** What the command writes: the whole way from options to files. */
    private static List<LoadCase> quantized(String kind) throws IOException {
        List<LoadCase> cases = new ArrayList<>();
        for (Loads each : Loads.of(kind)) {
            quantize(cases, String.join(" ", each.words()), each.programs());
        }
        return cases;
    }

    /** Checkpoints of other tools in another format: the logits are those of the source. */
    private static List<LoadCase> converted() throws IOException {
        List<LoadCase> cases = new ArrayList<>();
        for (Loads each : Loads.of("convert")) {
            Path source = KNOWN_GOOD.resolve(each.words().get(0));
            if (!Files.isDirectory(source)) {
                return List.of();
            }
            String format = each.words().get(1);
            Path folder = WORK.resolve("converted").resolve(each.words().get(0) + "-" + format);
            Path checkpoint = folder.resolve("checkpoint");
            QuantizedDemo.quern(
                    application,
                    checkpoint,
                    List.of("convert", source.toString(), "--format", format, "--out", checkpoint.toString()));
            for (String file : List.of("tokenizer.json", "tokenizer_config.json")) { // GPTQModel loads none without
                Files.copy(PackedDemo.MODEL.resolve(file), checkpoint.resolve(file));
            }
            var reference = new LoadCase.Reference.Logits(source.resolve("expected/logits.safetensors"));
            Path broken = BrokenCheckpoint.copy(checkpoint, folder.resolve("broken"));
            String name = each.words().get(0) + " as " + format;
            for (Loader loader : each.loaders()) {
                cases.add(new LoadCase(name + ", in " + loader.program, loader, checkpoint, reference, false));
            }
            Loader first = each.loaders().get(0);
            cases.add(new LoadCase(name + ", broken, in " + first.program, first, broken, reference, true));
        }
        return cases;
    }

    /** What was done to the model first must not show: neither beside the weights that are stored nor beside the original. */
    private static List<LoadCase> transformed() throws IOException {
        List<LoadCase> cases = new ArrayList<>();
        quantize(cases, "--format awq --method rtn --transform awq", Loader.TRANSFORMERS);
        quantize(cases, "--format compressed-tensors-int8 --transform smoothquant", Loader.TRANSFORMERS_ACTIVATIONS);
        quantize(cases, "--bits 8 --transform hadamard", Loader.TRANSFORMERS);
        Path original = WORK.resolve("original");
        DenseCopy.write(PackedDemo.MODEL, original);
        var reference = new LoadCase.Reference.Dense(original, TOKENS);
        for (String options :
                List.of("--format compressed-tensors-int8 --transform smoothquant", "--bits 8 --transform hadamard")) {
            Path checkpoint =
                    WORK.resolve("quantized").resolve(fileName(options)).resolve("checkpoint");
            cases.add(new LoadCase(
                    options + ", beside the original", Loader.TRANSFORMERS_ACTIVATIONS, checkpoint, reference, false));
        }
        return cases;
    }

    /** The reference is transformers, run on the tokens that calibrated. */
    @Test
    void fixed_scales_are_of_the_largest_values_that_torch_meets() throws Exception {
        Path folder = Files.createDirectories(WORK.resolve("scales"));
        Path text = folder.resolve("line.txt");
        Path source = PackedDemo.MODEL.toAbsolutePath();
        Files.writeString(
                text,
                Files.readString(source.resolve("evaluation.txt"))
                        .replace('\n', ' ')
                        .substring(0, 12_000));
        Path checkpoint = folder.resolve("checkpoint");
        List<String> words = new ArrayList<>(List.of("quantize", source.toString(), "--out", checkpoint.toString()));
        words.addAll(
                words("--format compressed-tensors-fp8 --activations static --kv-cache fp8 --samples 8 --seqlen 128"));
        words.addAll(List.of("--calibration", text.toString()));
        QuantizedDemo.quern(application, checkpoint, words);
        Path log = folder.resolve("log.txt");
        Python.environment("main")
                .run(
                        Python.program("fixed_scales.py"),
                        List.of(checkpoint.toString(), source.toString(), text.toString(), "128", "8"),
                        log);
        String last = Files.readAllLines(log).stream().reduce("", (a, b) -> b.startsWith("{") ? b : a);
        JsonNode found = new ObjectMapper().readTree(last);
        System.out.println("fixed scales: " + last);
        assertThat(found.get("scales").asInt()).isEqualTo(4 * (7 + 2));
        assertThat(found.get("others")).isEmpty();
        assertThat(found.get("worst")).hasSize(3).allMatch(worst -> worst.asDouble() < 0.01); // scales are bfloat16
    }

    /** What the report tells people to paste, out of reports of real runs; groups of whole rows need another kernel. */
    @TestFactory
    Stream<DynamicTest> the_code_that_the_report_shows_runs() throws Exception {
        List<Path> pasted = new ArrayList<>();
        for (String options : List.of(
                "",
                "--act-order full",
                "--group-size -1",
                "--format compressed-tensors",
                "--format bitsandbytes-nf4",
                "--format fp8",
                "--format hqq",
                "--format gguf-q4_k_m --method rtn")) {
            Path folder = WORK.resolve("pasted").resolve(fileName(options));
            Path checkpoint = folder.resolve("checkpoint");
            QuantizedDemo.write(application, checkpoint, words(options));
            for (LoadGuide.Program program : shown(checkpoint)) {
                // vLLM's engine takes a minute and a half to start for each; its logits are compared above.
                if (program.code() != null && !program.name().equals("vLLM")) {
                    Path code = Files.createDirectories(folder.resolve(program.name()))
                            .resolve("pasted.py");
                    Files.writeString(code, program.code());
                    pasted.add(code);
                }
            }
        }
        assertThat(pasted).isNotEmpty();
        Python.environment("main")
                .run(
                        Python.program("pasted.py"),
                        pasted.stream().map(Path::toString).toList(),
                        WORK.resolve("pasted/log.txt"));
        return pasted.stream()
                .map(code -> DynamicTest.dynamicTest(
                        WORK.resolve("pasted").relativize(code.getParent()).toString(), () -> wroteAStory(code)));
    }

    /** The programs as they stand in the page. */
    private static List<LoadGuide.Program> shown(Path checkpoint) throws IOException {
        Matcher facts = Pattern.compile("id=\"data\">(.*?)</script>", Pattern.DOTALL)
                .matcher(Files.readString(checkpoint.resolve("report.html")));
        assertThat(facts.find()).isTrue();
        ObjectMapper json = new ObjectMapper();
        return json.convertValue(json.readTree(facts.group(1)).get("programs"), new TypeReference<>() {});
    }

    private static void wroteAStory(Path code) throws IOException {
        // What it prints last is text that goes on from the prompt, in as many lines as the model likes.
        String printed = String.join(" ", Files.readAllLines(code.resolveSibling("output.txt")));
        assertThat(printed).contains("Once upon a time").endsWith("ended with 0");
        String story = printed.substring(printed.lastIndexOf("Once upon a time"));
        System.out.println(code.getParent().getFileName() + ": " + story);
        assertThat(story).hasSizeGreaterThan(60);
    }

    private static void quantize(List<LoadCase> cases, String options, Loader... loaders) throws IOException {
        Path folder = WORK.resolve("quantized").resolve(fileName(options));
        Path checkpoint = folder.resolve("checkpoint");
        QuantizedDemo.write(application, checkpoint, words(options));
        if (options.contains("500KB")) {
            assertThat(checkpoint.resolve("model.safetensors.index.json")).exists();
        }
        DenseCopy.write(checkpoint, folder.resolve("dense"));
        addCases(cases, "quantize demo " + options, folder, checkpoint, loaders);
    }

    private static List<String> words(String options) {
        return options.isEmpty() ? List.of() : List.of(options.split(" "));
    }

    private static String fileName(String options) {
        return options.isEmpty()
                ? "default"
                : options.replaceAll("[^A-Za-z0-9]+", "-").substring(1);
    }

    /** @param words format, bits, group size, sym or asym, order, and kept for one in which some linears are */
    private static Recipe recipe(List<String> words) {
        return Recipe.OPEN
                .edit()
                .method("rtn")
                .format(words.get(0))
                .bits(Integer.parseInt(words.get(1)))
                .groupSize(Integer.parseInt(words.get(2)))
                .symmetric(words.get(3).equals("sym"))
                .actOrder(ColumnOrder.valueOf(words.get(4).toUpperCase(Locale.ROOT)))
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .skip(words.contains("kept") ? List.of("model\\.layers\\.1\\.self_attn\\.(o|v)_proj") : List.of())
                .recipe();
    }

    /** The checkpoint in each loader, and a broken copy of it in the first. */
    private static void add(List<LoadCase> cases, Recipe recipe, Loader... loaders) throws IOException {
        String name = recipe.format() + " " + recipe.bits() + " bits, groups of " + recipe.groupSize()
                + (recipe.symmetric() ? ", symmetric, " : ", asymmetric, ")
                + recipe.actOrder().name().toLowerCase(Locale.ROOT)
                + (recipe.skip().isEmpty() ? "" : ", some kept");
        Path folder = WORK.resolve("checkpoints").resolve(name.replaceAll("[, ]+", "-"));
        Path checkpoint = folder.resolve("packed");
        PackedDemo.write(recipe, checkpoint, folder.resolve("dense"));
        addCases(cases, name, folder, checkpoint, loaders);
    }

    /** {@code folder} holds the dense reference in {@code dense} and gets the broken copy. */
    private static void addCases(List<LoadCase> cases, String name, Path folder, Path checkpoint, Loader... loaders)
            throws IOException {
        Path dense = folder.resolve("dense");
        var reference = new LoadCase.Reference.Dense(dense, TOKENS);
        for (Loader loader : loaders) {
            cases.add(new LoadCase(name + ", in " + loader.program, loader, checkpoint, reference, false));
        }
        Path broken = BrokenCheckpoint.copy(checkpoint, folder.resolve("broken"));
        cases.add(new LoadCase(name + ", broken, in " + loaders[0].program, loaders[0], broken, reference, true));
    }
}
