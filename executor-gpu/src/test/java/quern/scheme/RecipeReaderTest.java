package quern.scheme;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import quern.QuernException;
import quern.format.Formats;

class RecipeReaderTest {
    @Test
    void every_recipe_of_conf_is_in_the_jar_and_none_more() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("../conf/recipes"))) {
            assertThat(files.map(f -> f.getFileName().toString().replaceFirst("\\.yaml$", "")))
                    .containsExactlyInAnyOrderElementsOf(RecipeReader.names());
        }
    }

    @ParameterizedTest
    @MethodSource("names")
    void every_recipe_of_the_jar_reads(String name) {
        assertThat(RecipeReader.named(name)).isNotNull();
    }

    static List<String> names() {
        return RecipeReader.names();
    }

    @Test
    void the_default_recipe_is_the_default() {
        assertThat(RecipeReader.named("gptq-w4a16-g128")).isEqualTo(Recipe.DEFAULT);
        assertThat(RecipeReader.read("", "x")).isEqualTo(Recipe.OPEN);
        assertThat(Formats.named("gptq").settled(Recipe.OPEN)).isEqualTo(Recipe.DEFAULT);
    }

    @Test
    void every_key_arrives() {
        String yaml = """
                method: rtn
                format: compressed-tensors
                bits: 2
                group-size: -1
                symmetric: true
                ternary: true
                act-order: off
                scales: mse
                percdamp: 0.05
                true-sequential: true
                skip: [".*down_proj", "model.layers.0.*"]
                overrides:
                  - match: v_proj
                    bits: 8
                  - match: '\\.0\\.'
                    group-size: 64
                activations: static
                kv-cache: fp8
                transform: hadamard
                """;
        assertThat(RecipeReader.read(yaml, "x"))
                .isEqualTo(Recipe.OPEN
                        .edit()
                        .method("rtn")
                        .format("compressed-tensors")
                        .bits(2)
                        .groupSize(-1)
                        .symmetric(true)
                        .ternary(true)
                        .actOrder(ColumnOrder.OFF)
                        .scales(ScaleRule.MSE)
                        .percdamp(0.05)
                        .trueSequential(true)
                        .skip(List.of(".*down_proj", "model.layers.0.*"))
                        .overrides(List.of(
                                new Recipe.LinearOverride("v_proj", 8, Recipe.UNSAID),
                                new Recipe.LinearOverride("\\.0\\.", Recipe.UNSAID, 64)))
                        .fixed(new FixedScales(true, true))
                        .transform("hadamard")
                        .recipe());
    }

    @Test
    void the_first_override_that_fits_counts() {
        Recipe recipe = RecipeReader.read(
                "{bits: 4, overrides: [{match: v_proj, bits: 8}, {match: layers.0, bits: 3, group-size: 64}]}", "x");
        assertThat(recipe.of("model.layers.0.self_attn.v_proj").bits()).isEqualTo(8);
        assertThat(recipe.of("model.layers.0.self_attn.v_proj").groupSize()).isEqualTo(Recipe.UNSAID);
        assertThat(recipe.of("model.layers.0.self_attn.q_proj").bits()).isEqualTo(3);
        assertThat(recipe.of("model.layers.0.self_attn.q_proj").groupSize()).isEqualTo(64);
        assertThat(recipe.of("model.layers.1.self_attn.q_proj").bits()).isEqualTo(4);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "'bit: 4' | my.yaml: bit is not a key of a recipe (the keys are method, format, bits,",
                "'bits: four' | my.yaml: bits is \"four\" (it must be a whole number)",
                "'bits: 4.5' | my.yaml: bits is 4.5 (it must be a whole number)",
                "'bits: 99999999999' | my.yaml: bits is 99999999999 (it must be a whole number)",
                "'bits: 5' | my.yaml: Cannot quantize to 5 bits: the codes have 1, 2, 3, 4 or 8 bits",
                "'group-size: 0' | my.yaml: Cannot use group size 0: it is -1 (the whole row) or a positive number",
                "'symmetric: 1' | my.yaml: symmetric is 1 (it must be true or false)",
                "'act-order: sideways' | my.yaml: act-order is \"sideways\" (it must be static or group or full or off)",
                "'percdamp: 0' | my.yaml: Cannot damp by 0.0",
                "'percdamp: 2' | my.yaml: Cannot damp by 2.0",
                "'ternary: true' | my.yaml: Cannot use ternary codes here",
                "'skip: [3]' | my.yaml: skip is 3 (it must be a regular expression, or a list of them)",
                "'skip: \"(\"' | my.yaml: Cannot skip (: it is not a regular expression",
                "'overrides: {match: x}' | my.yaml: overrides is {\"match\":\"x\"} (it must be a list of entries",
                "'overrides: [{bits: 4}]' | my.yaml: overrides is [{\"bits\":4}] (it must be a list of entries",
                "'overrides: [{match: x, bit: 4}]' | my.yaml: bit is not a key of an override (the keys are match,",
                "'overrides: [{match: x, bits: 5}]' | my.yaml: Cannot quantize to 5 bits",
                "'overrides: [{match: (, bits: 4}]' | my.yaml: Cannot override (: it is not a regular expression",
                "'method: [gptq]' | my.yaml: method is [\"gptq\"] (it must be a word)",
                "'- 4' | my.yaml: it is not a list of keys and values",
                "'bits: [' | my.yaml: it is not YAML at line",
                "'{bits: 4, bits: 8}' | my.yaml: it is not YAML at line 1, Duplicate"
            })
    void what_is_wrong_is_one_sentence_with_the_files_name(String yaml, String message) {
        assertThatThrownBy(() -> RecipeReader.read(yaml, "my.yaml"))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("Cannot read " + message)
                .hasMessageNotContaining("\n");
    }

    @Test
    void an_unknown_name_is_answered_with_the_names_there_are() {
        assertThatThrownBy(() -> RecipeReader.named("gptq-w5"))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("gptq-w4a16-g128");
    }
}
