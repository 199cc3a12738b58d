package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static quern.interop.LoadCase.Loader.COMPRESSED_TENSORS;
import static quern.interop.LoadCase.Loader.GPTQMODEL;
import static quern.interop.LoadCase.Loader.TRANSFORMERS;
import static quern.interop.LoadCase.Loader.VLLM;
import static quern.scheme.ColumnOrder.FULL;
import static quern.scheme.ColumnOrder.GROUP;
import static quern.scheme.ColumnOrder.OFF;
import static quern.scheme.ColumnOrder.STATIC;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import quern.interop.LoadCase.Loader;
import quern.report.LoadGuide;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;

/** A load that does not raise proves nothing: the logits must be those of the weights that we think are stored. */
@Tag("interop")
class InteropTest {
    private static final int[][] TOKENS = tokens();
    private static final Path WORK = Path.of("target", "interop").toAbsolutePath();

    /** The harness itself, on checkpoints that other tools wrote, so that a red test below means our bytes. */
    @TestFactory
    Stream<DynamicTest> checkpoints_of_other_tools_load_as_known() throws Exception {
        Path knownGood = Path.of(System.getProperty("quern.shared", ""), "interop", "known-good");
        assumeTrue(
                Files.isDirectory(knownGood), "needs interop/known-good of the shared test data, see -Dquern.shared");
        List<LoadCase> cases = new ArrayList<>();
        for (String name : List.of("gptq-4bit-sym-v1", "ct-w4a16")) {
            Path checkpoint = knownGood.resolve(name);
            var reference = new LoadCase.Reference.Logits(checkpoint.resolve("expected/logits.safetensors"));
            Path broken =
                    BrokenCheckpoint.copy(checkpoint, WORK.resolve("broken").resolve(name));
            for (Loader loader : List.of(Loader.TRANSFORMERS, Loader.VLLM)) {
                cases.add(new LoadCase(name + " in " + loader.program, loader, checkpoint, reference, false));
                cases.add(new LoadCase(name + " broken, in " + loader.program, loader, broken, reference, true));
            }
        }
        return tests("known-good", cases);
    }

    /** Every scheme that the loaders read, of the demo model. */
    @TestFactory
    Stream<DynamicTest> our_formats_load_as_the_weights_that_they_stand_for() throws Exception {
        List<LoadCase> cases = new ArrayList<>();
        String kept = "model\\.layers\\.1\\.self_attn\\.(o|v)_proj";
        add(cases, recipe("gptq", 4, 128, true, STATIC), TRANSFORMERS, GPTQMODEL, VLLM);
        add(cases, recipe("gptq", 4, 64, true, OFF), TRANSFORMERS, VLLM);
        // transformers picks a kernel there that knows groups of 32 to 256 inputs only, and stops.
        add(cases, recipe("gptq", 4, -1, true, GROUP), GPTQMODEL);
        add(cases, recipe("gptq", 4, 128, true, FULL), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 4, 64, false, STATIC), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq_v2", 4, 64, false, STATIC), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 8, 128, true, STATIC), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 3, 64, true, STATIC), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 3, 64, false, FULL), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 2, 64, false, STATIC), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("gptq", 4, 128, true, STATIC, kept), TRANSFORMERS, GPTQMODEL);
        add(cases, recipe("compressed-tensors", 4, 128, true, STATIC), TRANSFORMERS, COMPRESSED_TENSORS, VLLM);
        add(cases, recipe("compressed-tensors", 4, 64, false, OFF), TRANSFORMERS, COMPRESSED_TENSORS, VLLM);
        add(cases, recipe("compressed-tensors", 4, -1, true, OFF), TRANSFORMERS, COMPRESSED_TENSORS);
        add(cases, recipe("compressed-tensors", 8, 128, true, STATIC), TRANSFORMERS, COMPRESSED_TENSORS);
        add(cases, recipe("compressed-tensors", 8, 128, false, STATIC), TRANSFORMERS, COMPRESSED_TENSORS);
        add(cases, recipe("compressed-tensors", 3, 64, true, STATIC), TRANSFORMERS, COMPRESSED_TENSORS);
        add(cases, recipe("compressed-tensors", 2, 64, false, OFF), TRANSFORMERS, COMPRESSED_TENSORS);
        add(cases, recipe("compressed-tensors", 4, 128, true, STATIC, kept), TRANSFORMERS, COMPRESSED_TENSORS);
        return tests("formats", cases);
    }

    /** What the report tells people to paste. */
    @TestFactory
    Stream<DynamicTest> the_code_that_the_report_shows_runs() throws Exception {
        List<DynamicTest> tests = new ArrayList<>();
        for (String format : List.of("gptq", "compressed-tensors")) {
            Recipe recipe = recipe(format, 4, 128, true, STATIC);
            Path checkpoint = WORK.resolve("pasted").resolve(format);
            PackedDemo.write(recipe, checkpoint, WORK.resolve("pasted").resolve(format + "-dense"));
            for (LoadGuide.Program program : LoadGuide.of(recipe, checkpoint.toString())) {
                if (program.code() != null) {
                    String name = program.name() + " on " + format;
                    tests.add(DynamicTest.dynamicTest(name, () -> runPasted(name, program)));
                }
            }
        }
        return tests.stream();
    }

    private static void runPasted(String name, LoadGuide.Program program) throws Exception {
        Path folder = WORK.resolve("pasted").resolve(name.replace(' ', '-'));
        Path code = Files.createDirectories(folder).resolve("pasted.py");
        Path output = folder.resolve("output.txt");
        Files.writeString(code, program.code());
        Python.environment(program.name().equals("vLLM") ? "vllm" : "main").run(code, List.of(), output);
        // The last line that it prints is text that goes on from the prompt.
        String last = Files.readAllLines(output).stream().reduce("", (a, b) -> b.isBlank() ? a : b);
        System.out.println(name + ": " + last);
        assertThat(last).hasSizeGreaterThan(40);
    }

    private static Recipe recipe(
            String format, int bits, int groupSize, boolean symmetric, ColumnOrder order, String... skip) {
        return new Recipe(
                "rtn", format, bits, groupSize, symmetric, false, order, ScaleRule.MAX, 0.01, false, List.of(skip));
    }

    /** The checkpoint in each loader, and a broken copy of it in the first. */
    private static void add(List<LoadCase> cases, Recipe recipe, Loader... loaders) throws IOException {
        String name = recipe.format() + " " + recipe.bits() + " bits, groups of " + recipe.groupSize()
                + (recipe.symmetric() ? ", symmetric, " : ", asymmetric, ")
                + recipe.actOrder().name().toLowerCase(Locale.ROOT)
                + (recipe.skip().isEmpty() ? "" : ", some kept");
        Path folder = WORK.resolve("checkpoints").resolve(name.replaceAll("[, ]+", "-"));
        Path checkpoint = folder.resolve("packed");
        Path dense = folder.resolve("dense");
        PackedDemo.write(recipe, checkpoint, dense);
        var reference = new LoadCase.Reference.Dense(dense, TOKENS);
        for (Loader loader : loaders) {
            cases.add(new LoadCase(name + ", in " + loader.program, loader, checkpoint, reference, false));
        }
        Path broken = BrokenCheckpoint.copy(checkpoint, folder.resolve("broken"));
        cases.add(new LoadCase(name + ", broken, in " + loaders[0].program, loaders[0], broken, reference, true));
    }

    /** 4 sequences of 48 token ids of the demo model, each after its first token. */
    private static int[][] tokens() {
        Random random = new Random(7);
        int[][] tokens = new int[4][];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] =
                    IntStream.concat(IntStream.of(0), random.ints(47, 2, 2048)).toArray();
        }
        return tokens;
    }

    private static Stream<DynamicTest> tests(String name, List<LoadCase> cases) throws Exception {
        Map<String, JsonNode> results = new LinkedHashMap<>();
        Map<String, List<LoadCase>> byEnvironment = cases.stream()
                .collect(Collectors.groupingBy(
                        each -> each.loader().environment, LinkedHashMap::new, Collectors.toList()));
        for (var group : byEnvironment.entrySet()) {
            results.putAll(LoadCase.load(group.getKey(), group.getValue(), WORK.resolve(name)));
        }
        return cases.stream().map(each -> DynamicTest.dynamicTest(each.name(), () -> check(each, results)));
    }

    private static void check(LoadCase each, Map<String, JsonNode> results) {
        JsonNode result = results.get(each.name());
        assertThat(result).as("result of %s; see target/interop", each.name()).isNotNull();
        assertThat(result.path("error").asText("")).isEmpty();
        assertThat(result.get("unclean")).as("the loader's report").isEmpty();
        double relative = result.get("relative").asDouble();
        System.out.printf("%-60s relative %.2g, limit %.2g%n", each.name(), relative, each.loader().tolerance);
        if (each.broken()) {
            assertThat(relative).as("the broken checkpoint is noticed").isGreaterThan(5 * each.loader().tolerance);
        } else {
            assertThat(result.get("finite").asBoolean()).isTrue();
            assertThat(relative).isLessThan(each.loader().tolerance);
        }
    }
}
