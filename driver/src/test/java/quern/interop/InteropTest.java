package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import quern.interop.LoadCase.Loader;

/** A load that does not raise proves nothing: the logits must be those of the weights that we think are stored. */
@Tag("interop")
class InteropTest {
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
