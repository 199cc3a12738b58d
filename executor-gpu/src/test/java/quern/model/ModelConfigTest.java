package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.store.MemoryStore;

class ModelConfigTest {
    private static ModelConfig config(String type, String more) throws IOException {
        String json = "{\"model_type\": \"" + type + "\", \"hidden_size\": 64, \"intermediate_size\": 96,"
                + " \"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"num_key_value_heads\": 2,"
                + " \"vocab_size\": 128" + more + "}";
        MemoryStore store = new MemoryStore().put("config.json", json.getBytes(StandardCharsets.UTF_8));
        Fields fields = Fields.read(store);
        Architecture architecture = Architectures.of(fields, store);
        return ModelConfig.of(fields.of(architecture), architecture);
    }

    @ParameterizedTest(name = "{0} {1}: {2}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "llama | `, \"sliding_window\": 8` | 0 0 0 0",
                "mistral | `` | 4096 4096 4096 4096",
                "mistral | `, \"sliding_window\": null` | 0 0 0 0",
                "mistral | `, \"sliding_window\": 16` | 16 16 16 16",
                "mistral | `, \"sliding_window\": 16, \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\", \"full_attention\"]` | 0 16 0 0",
                "qwen2 | `, \"sliding_window\": 8, \"use_sliding_window\": false, \"max_window_layers\": 1` | 0 0 0 0",
                "qwen2 | `, \"sliding_window\": 0, \"use_sliding_window\": false` | 0 0 0 0",
                "qwen2 | `, \"sliding_window\": 8, \"use_sliding_window\": true, \"max_window_layers\": 3` | 0 0 0 8",
                "qwen3 | `, \"sliding_window\": 8, \"use_sliding_window\": true` | 0 0 0 0",
            })
    void the_layers_that_slide_follow_the_familys_rule(String type, String more, String windows) throws IOException {
        assertThat(config(type, more == null ? "" : more).windows())
                .extracting(String::valueOf)
                .containsExactly(windows.split(" "));
    }

    @Test
    void head_dim_may_be_missing_null_or_given() throws IOException {
        assertThat(config("llama", "").headDim()).isEqualTo(16);
        assertThat(config("llama", ", \"head_dim\": null").headDim()).isEqualTo(16);
        assertThat(config("llama", ", \"head_dim\": 32").headDim()).isEqualTo(32);
        assertThat(config("qwen3", "").headDim()).isEqualTo(128);
    }

    @Test
    void both_spellings_of_rope_are_the_same() throws IOException {
        String scaling = "\"factor\": 8.0, \"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0,"
                + " \"original_max_position_embeddings\": 32, \"rope_type\": \"llama3\"";
        ModelConfig old = config("llama", ", \"rope_theta\": 5e5, \"rope_scaling\": {" + scaling + "}");
        ModelConfig now = config("llama", ", \"rope_parameters\": {\"rope_theta\": 5e5, " + scaling + "}");
        assertThat(now.ropes().get(0).inverseFrequencies())
                .isEqualTo(old.ropes().get(0).inverseFrequencies());
        assertThat(now.ropes().get(0).inverseFrequencies()[0]).isCloseTo(1, within(1e-12));
        assertThat(now.ropes().get(0).inverseFrequencies()[7]).isCloseTo(Math.pow(5e5, -14 / 16.0) / 8, within(1e-12));
    }

    /** Expected values from the formula as transformers has it, computed apart in Python. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "`` | 1.138629436111989 | 1 0.23717082451262847 0.05 0.007905694150420948 0.0025",
                "`, \"truncate\": false` | 1.138629436111989 | 1 0.2791745471235732 0.025996591586511957 0.007905694150420948 0.0025",
                "`, \"mscale\": 1.0, \"mscale_all_dim\": 0.7` | 1.0379100195867799 | 1 0.23717082451262847 0.05 0.007905694150420948 0.0025",
            })
    void yarn_blends_frequencies_and_has_a_magnitude(String more, double magnitude, String frequencies)
            throws IOException {
        Rope rope = config(
                        "qwen2",
                        ", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0, \"beta_fast\": 4.0, \"beta_slow\": 1.0,"
                                + " \"original_max_position_embeddings\": 64" + (more == null ? "" : more) + "}")
                .ropes()
                .get(0);
        assertThat(rope.magnitude()).isCloseTo(magnitude, within(1e-12));
        String[] wanted = frequencies.split(" ");
        for (int i = 0; i < wanted.length; i++) {
            assertThat(rope.inverseFrequencies()[i]).isCloseTo(Double.parseDouble(wanted[i]), within(1e-12));
        }
    }

    @Test
    void a_theta_that_is_not_said_is_the_familys() throws IOException {
        assertThat(config("llama", ", \"rope_parameters\": {\"rope_type\": \"default\"}")
                        .ropes()
                        .get(0)
                        .theta())
                .isEqualTo(10000);
    }

    @Test
    void part_of_a_head_may_turn() throws IOException {
        assertThat(config("llama", ", \"partial_rotary_factor\": 0.5")
                        .ropes()
                        .get(0)
                        .inverseFrequencies())
                .hasSize(4);
    }
}
