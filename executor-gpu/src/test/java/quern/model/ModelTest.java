package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.device.ForwardKernels.Activation;
import quern.store.MemoryStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

class ModelTest {
    private static final String Q = "model.layers.1.self_attn.q_proj";

    private static MemoryStore withShapes(Consumer<Map<String, long[]>> change) {
        Map<String, long[]> shapes = Models.tinyShapes();
        change.accept(shapes);
        return Models.model(Models.TINY, shapes, DType.F32, "");
    }

    private static MemoryStore withConfig(String from, String to) {
        return Models.tiny().put("config.json", Models.TINY.replace(from, to).getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void a_model_says_what_it_is() throws Exception {
        Model model = Model.open(Models.tiny());
        assertThat(model.layers()).isEqualTo(2);
        assertThat(model.weightType()).isEqualTo(DType.F32);
        assertThat(model.operands()).isEqualTo(DType.F32);
        assertThat(Model.open(Models.model(Models.TINY, Models.tinyShapes(), DType.BF16, ""))
                        .operands())
                .isNull();
        assertThat(model.tied()).isFalse();
        assertThat(model.config().activation()).isEqualTo(Activation.SILU);
        assertThat(model.sites(1))
                .extracting(Site::name)
                .containsExactly("self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.down_proj");
        assertThat(model.sites(1).get(0).linears())
                .contains(new Linear(Q, 16, 16), new Linear("model.layers.1.self_attn.v_proj", 8, 16));
        assertThat(model.sites(0).get(3).linears()).containsExactly(new Linear("model.layers.0.mlp.down_proj", 16, 24));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "`llama` | `lama` | Cannot open the model memory: its model_type 'lama' is not known, nearest is llama (known are ",
                "`model_type` | `kind` | Cannot read config.json of memory: 'model_type' is missing (",
                "`num_hidden_layers\": 2` | `num_hidden_layers\": 0` | Cannot read config.json of memory: 'num_hidden_layers' is 0 (it should be a number from 1 to 10000)",
                "`num_hidden_layers\": 2` | `num_hidden_layers\": \"2\"` | Cannot read config.json of memory: 'num_hidden_layers' is \"2\" (it should be a whole number)",
                "`num_hidden_layers\": 2` | `num_hidden_layers\": 1e99` | Cannot read config.json of memory: 'num_hidden_layers' is 1.0E99 (it should be a number from 1 to 10000)",
                "`num_key_value_heads\": 2` | `num_key_value_heads\": 3` | Cannot read config.json of memory: 'num_key_value_heads' is 3 (it should be a divisor of the 4 heads)",
                "`num_attention_heads\": 4` | `num_attention_heads\": 6` | Cannot read config.json of memory: 'num_attention_heads' is 6 (it should be a divisor of hidden_size, which is 16)",
                "`rms_norm_eps\": 1e-5` | `rms_norm_eps\": NaN` | Cannot read config.json of memory: 'rms_norm_eps' is \"NaN\" (it should be a number above zero)",
                "`{\"model` | `{\"rope_scaling\": {\"type\": \"spiral\"}, \"model` | Cannot read config.json of memory: 'rope_type' is 'spiral' (it should be one of default, dynamic, linear, llama3, longrope, yarn)",
                "`{\"model` | `{\"rope_scaling\": 8, \"model` | Cannot read config.json of memory: 'rope_scaling' is 8 (it should be an object)",
                "`{\"model` | `{\"hidden_act\": \"mish\", \"model` | Cannot read config.json of memory: 'hidden_act' is 'mish' (it should be one of ",
                "`{\"model` | `{\"head_dim\": 5, \"model` | Cannot read config.json of memory: 'head_dim' is 5 (it should be such that an even number",
                "`{\"model` | `{\"layer_types\": [\"full_attention\"], \"model` | Cannot read config.json of memory: 'layer_types' is [\"full_attention\"] (it should be a list of one entry for each of the 2 layers)",
                "`{\"model` | `{\"attention_bias\": true, \"model` | Cannot open the model memory: tensor 'model.layers.0.self_attn.q_proj.bias' is missing (",
                "`{\"model` | `{\"quantization_config\": {\"quant_method\": \"quark\"}, \"model` | Cannot read the weights of memory: they are quantized by quark (use the original model",
                "`hidden_size\": 16` | `hidden_size\": 32` | Cannot open the model memory: tensor 'model.embed_tokens.weight' is 32 x 16, and config.json calls for 32 x 32 (",
                "`llama` | `\"}` | Cannot read config.json of memory: it is not valid JSON at line 1 (",
            })
    void a_config_that_cannot_be_used_gets_one_sentence(String from, String to, String sentence) {
        assertThatThrownBy(() -> Model.open(withConfig(from, to)))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith(sentence);
    }

    @Test
    void a_type_of_custom_code_is_refused_as_such() {
        assertThatThrownBy(
                        () -> Model.open(withConfig("\"llama\"", "\"mine\", \"auto_map\": {\"AutoModel\": \"x.Y\"}")))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("needs custom code, which is never run");
    }

    @Test
    void of_the_types_with_the_most_modules_in_common_the_nearest_name_is_offered() {
        assertThatThrownBy(() -> Model.open(withConfig("\"llama\"", "\"qwen-3\"")))
                .hasMessageContaining("nearest is qwen2 (known are ");
    }

    @Test
    void a_folder_without_config_is_refused() {
        assertThatThrownBy(() -> Model.open(new MemoryStore()))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("it has no config.json");
    }

    @ParameterizedTest
    @ValueSource(ints = {65, 100_000})
    void deep_json_is_refused(int depth) {
        String json = Models.TINY.replaceFirst("\\{", "{\"deep\": " + "[".repeat(depth) + "]".repeat(depth) + ", ");
        assertThatThrownBy(() -> Model.open(Models.tiny().put("config.json", json.getBytes(StandardCharsets.UTF_8))))
                .isInstanceOf(QuernException.class);
    }

    @Test
    void a_missing_tensor_is_named() {
        assertThatThrownBy(() -> Model.open(withShapes(s -> s.remove(Q + ".weight"))))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("tensor '" + Q + ".weight' is missing");
    }

    @Test
    void a_tensor_of_the_wrong_shape_is_named() {
        assertThatThrownBy(() -> Model.open(withShapes(s -> s.put(Q + ".weight", new long[] {16, 15}))))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("'" + Q + ".weight' is 16 x 15, and config.json calls for 16 x 16");
    }

    @Test
    void a_bias_that_the_config_does_not_know_is_refused() {
        assertThatThrownBy(() -> Model.open(withShapes(s -> s.put(Q + ".bias", new long[] {16}))))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("'" + Q + ".bias'");
    }

    @Test
    void a_model_that_only_says_that_it_is_quantized_is_refused() {
        MemoryStore store = withShapes(s -> {});
        String config = Models.TINY.replaceFirst(
                "\\{", "{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}, ");
        store.put("config.json", config.getBytes(StandardCharsets.UTF_8));
        assertThatThrownBy(() -> Model.open(store))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("gptq, 4 bits in groups of a whole row, and no tensor of it is");
    }

    @Test
    void a_token_beyond_the_vocabulary_is_refused() throws Exception {
        Embedding embedding = Embedding.open(Model.open(Models.tiny()));
        assertThatThrownBy(() -> embedding.rows(new int[] {3, 32}))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("Cannot embed token 32: the model's vocabulary has 32 tokens");
    }

    @Test
    void the_rows_of_an_embedding_come_in_the_order_of_the_tokens() throws Exception {
        Model model = Model.open(Models.tiny());
        int hidden = model.hiddenSize();
        float[] table = HalfFloats.toFloats(
                model.tensors().read(model.embedding()),
                model.tensors().spec(model.embedding()).dtype(),
                model.vocabulary() * hidden);
        int[] tokens = {5, 0, 31, 5};
        for (long small : new long[] {0, Long.MAX_VALUE}) {
            float[] rows = Embedding.open(model, small).rows(tokens).values();
            for (int t = 0; t < tokens.length; t++) {
                assertThat(Arrays.copyOfRange(rows, t * hidden, (t + 1) * hidden))
                        .isEqualTo(Arrays.copyOfRange(table, tokens[t] * hidden, (tokens[t] + 1) * hidden));
            }
        }
    }
}
