package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
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
                "phi3 | `, \"sliding_window\": 8` | 8 8 8 8",
                "gemma2 | `` | 4096 0 4096 0",
                "gemma3_text | `, \"sliding_window_pattern\": 3, \"sliding_window\": 8` | 8 8 0 8",
                "cohere2 | `` | 4096 4096 4096 0",
                "starcoder2 | `` | 0 0 0 0",
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
    void what_follows_from_other_keys_is_computed() throws IOException {
        assertThat(config("falcon", "").kvHeads()).isEqualTo(1);
        assertThat(config("falcon", ", \"multi_query\": false").kvHeads()).isEqualTo(4);
        assertThat(config("falcon", ", \"new_decoder_architecture\": true, \"num_kv_heads\": 2")
                        .kvHeads())
                .isEqualTo(2);
        assertThat(config("falcon", "").intermediateSize()).isEqualTo(256);
        assertThat(config("falcon", ", \"ffn_hidden_size\": 80").intermediateSize())
                .isEqualTo(80);
        assertThat(config("gpt2", ", \"n_embd\": 32, \"n_inner\": null").intermediateSize())
                .isEqualTo(128);
        assertThat(config("gemma2", ", \"query_pre_attn_scalar\": 64").attentionScale(1))
                .isEqualTo(0.125f);
    }

    @Test
    void scores_are_scaled_as_the_flags_say() throws IOException {
        assertThat(config("gpt2", "").attentionScale(3)).isEqualTo(0.25f);
        assertThat(config("gpt2", ", \"scale_attn_by_inverse_layer_idx\": true").attentionScale(3))
                .isEqualTo(0.0625f);
        assertThat(config("gpt2", ", \"scale_attn_weights\": false").attentionScale(3))
                .isEqualTo(1);
    }

    @ParameterizedTest(name = "{0}{1}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "gpt2 | `, \"add_cross_attention\": true` | 'add_cross_attention' is true",
                "gemma2 | `, \"use_bidirectional_attention\": true` | 'use_bidirectional_attention' is true",
                "falcon | `, \"new_decoder_architecture\": true, \"parallel_attn\": false` | 'new_decoder_architecture' is true and 'parallel_attn' is false",
            })
    void what_a_familys_program_does_not_do_is_refused(String type, String more, String reason) {
        assertThatThrownBy(() -> config(type, more))
                .isInstanceOf(QuernException.class)
                .hasMessage("Cannot read config.json of memory: " + reason + " (models of type " + type
                        + " are read without that)");
    }

    /** Expected values from the formulas as transformers has them, computed apart in Python. */
    @Test
    void a_long_sequence_may_turn_by_other_frequencies() throws IOException {
        Rope longrope = config(
                        "phi3",
                        ", \"max_position_embeddings\": 128, \"original_max_position_embeddings\": 32, \"head_dim\": 4,"
                                + " \"rope_scaling\": {\"type\": \"su\", \"short_factor\": [1.0, 2.0], \"long_factor\": [4.0, 8.0]}")
                .ropes()
                .get(0);
        assertThat(longrope.magnitude()).isCloseTo(1.1832159566199232, within(1e-12));
        assertThat(longrope.cosines(32).at(1, 1))
                .isCloseTo((float) (Math.cos(0.005) * longrope.magnitude()), within(1e-6f));
        assertThat(longrope.cosines(33).at(2, 0))
                .isCloseTo((float) (Math.cos(0.5) * longrope.magnitude()), within(1e-6f));
        Rope dynamic = config(
                        "llama",
                        ", \"max_position_embeddings\": 16, \"head_dim\": 4, \"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 3.0}")
                .ropes()
                .get(0);
        assertThat(dynamic.sines(16).at(5, 1)).isCloseTo((float) Math.sin(0.05), within(1e-7f));
        // base 10000 * (3 * 24 / 16 - 2)^(4 / 2)
        assertThat(dynamic.sines(24).at(5, 1)).isCloseTo((float) Math.sin(5 / Math.sqrt(62500)), within(1e-7f));
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
