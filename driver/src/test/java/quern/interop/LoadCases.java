package quern.interop;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;

/** Many checkpoints at once: one process for each environment, since importing the programs takes longer than loading. */
final class LoadCases {
    /** Below it stands all that the interop tests write. */
    static final Path WORK = Path.of("target", "interop").toAbsolutePath();

    private LoadCases() {}

    /** Loads them all, below {@code WORK/name}; a test for each. */
    static Stream<DynamicTest> tests(String name, List<LoadCase> cases) {
        return checks(cases, results(name, cases));
    }

    /** The same, the tests in groups with names. */
    static Stream<DynamicContainer> tests(String name, Map<String, List<LoadCase>> groups) {
        Map<String, JsonNode> results =
                results(name, groups.values().stream().flatMap(List::stream).toList());
        return groups.entrySet().stream()
                .map(group -> DynamicContainer.dynamicContainer(group.getKey(), checks(group.getValue(), results)));
    }

    private static Stream<DynamicTest> checks(List<LoadCase> cases, Map<String, JsonNode> results) {
        return cases.stream().map(each -> DynamicTest.dynamicTest(each.name(), () -> check(each, results)));
    }

    /** By name; the environments side by side. */
    private static Map<String, JsonNode> results(String name, List<LoadCase> cases) {
        assertThat(cases).extracting(LoadCase::name).doesNotHaveDuplicates();
        return cases.stream()
                .collect(Collectors.groupingBy(each -> each.loader().environment))
                .entrySet()
                .parallelStream()
                .map(group -> LoadCase.load(group.getKey(), group.getValue(), WORK.resolve(name)))
                .collect(LinkedHashMap::new, Map::putAll, Map::putAll);
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

    /** 4 sequences of {@code length} token ids, each after its first token, below {@code vocabulary}. */
    static int[][] tokens(int length, int vocabulary) {
        Random random = new Random(7);
        int[][] tokens = new int[4][];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = IntStream.concat(IntStream.of(0), random.ints(length - 1, 2, vocabulary))
                    .toArray();
        }
        return tokens;
    }
}
