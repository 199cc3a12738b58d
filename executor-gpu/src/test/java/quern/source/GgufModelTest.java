package quern.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.model.Model;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.MemoryStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

class GgufModelTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** llama.cpp's own file; the logits are those of a float32 forward of what another decoder made of it. */
    @Test
    void a_file_of_another_tool_gives_the_logits_that_it_stands_for() throws Exception {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good", "gguf");
        assumeTrue(Files.isDirectory(folder), () -> "no file at " + folder + ": set -Dquern.shared");
        MemoryStore store = new MemoryStore().put("Q4_K_M.gguf", Files.readAllBytes(folder.resolve("Q4_K_M.gguf")));
        Checkpoint expected = Checkpoint.file(new LocalStore(folder), "expected/logits.safetensors");
        float[] logits = HalfFloats.toFloats(expected.read("logits"), DType.F32, 2 * 16 * 64);
        ByteBuffer ids = expected.read("input_ids");

        Model model = Model.open(store);
        assertThat(model.source().lossy()).isEqualTo("GGUF in Q4_K and Q6_K");
        try (Device device = Devices.open("java")) {
            for (int s = 0; s < 2; s++) {
                int[] tokens = new int[16];
                double likelihood = 0;
                for (int t = 0; t < 16; t++) {
                    tokens[t] = (int) ids.getLong(8 * (16 * s + t));
                }
                for (int t = 0; t + 1 < 16; t++) {
                    likelihood += negativeLogLikelihood(logits, (16 * s + t) * 64, tokens[t + 1]);
                }
                Score score = Evaluation.scores(Subject.stored(model), null, List.of(tokens), device)
                        .get(0);
                // Codes are shown in F16; rows of q and k in the wrong order change it by more than 1.
                assertThat(score.nll()).isCloseTo(likelihood, within(0.02));
            }
        }
    }

    private static double negativeLogLikelihood(float[] logits, int from, int token) {
        double sum = 0;
        for (int v = 0; v < 64; v++) {
            sum += Math.exp(logits[from + v]);
        }
        return Math.log(sum) - logits[from + token];
    }

    @Test
    void rows_of_q_and_k_come_back_in_halves_however_they_are_read() throws IOException {
        Model model = Model.open(new MemoryStore().put("m.gguf", tiny().bytes()));
        float[] q =
                HalfFloats.toFloats(model.tensors().read("model.layers.0.self_attn.q_proj.weight"), DType.F32, 16 * 16);
        float[] stored = random(16 * 16, 1);
        for (int head = 0; head < 2; head++) {
            for (int half = 0; half < 2; half++) {
                for (int j = 0; j < 4; j++) {
                    for (int c = 0; c < 16; c++) {
                        assertThat(q[(8 * head + 4 * half + j) * 16 + c])
                                .isEqualTo(stored[(8 * head + 2 * j + half) * 16 + c]);
                    }
                }
            }
        }
        ByteBuffer part = model.tensors().read("model.layers.0.self_attn.q_proj.weight", 64 * 3 + 8, 64 * 7);
        for (int i = 0; i < 16 * 7; i++) {
            assertThat(part.getFloat(4 * i)).isEqualTo(q[16 * 3 + 2 + i]);
        }
    }

    @Test
    void config_and_tokenizer_are_made_of_the_metadata() throws IOException {
        BlobStore files = Source.files(new MemoryStore().put("m.gguf", tiny().bytes()));
        JsonNode config = json(files, "config.json");
        assertThat(config.get("rms_norm_eps").asText()).isEqualTo("1.0E-5");
        assertThat(config.get("head_dim").asInt()).isEqualTo(8);
        assertThat(config.get("tie_word_embeddings").asBoolean()).isTrue();
        JsonNode tokenizer = json(files, "tokenizer.json");
        assertThat(tokenizer.at("/model/vocab/ab").asInt()).isEqualTo(3);
        assertThat(tokenizer.at("/added_tokens/0/content").asText()).isEqualTo("<s>");
        assertThat(tokenizer.at("/post_processor/single/0/SpecialToken/id").asText())
                .isEqualTo("<s>");
        assertThat(json(files, "tokenizer_config.json").get("bos_token").asText())
                .isEqualTo("<s>");
        assertThat(Model.open(files).source().lossy()).isNull();
        assertThat(files.list("")).containsExactly("config.json", "m.gguf", "tokenizer.json", "tokenizer_config.json");
    }

    /** Rows of q and k stand in pairs in Llama's files, of heads that turn as a whole. */
    @Test
    void a_llama_whose_heads_turn_in_part_is_refused() {
        assertThatThrownBy(() -> Source.files(new MemoryStore()
                        .put(
                                "m.gguf",
                                tiny().put("llama.rope.dimension_count", 4).bytes())))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("its rope.dimension_count is 4, and heads have 8");
    }

    @Test
    void what_lies_beside_it_counts_for_more() throws IOException {
        MemoryStore store =
                new MemoryStore().put("m.gguf", tiny().bytes()).put("tokenizer.json", new byte[] {'{', '}'});
        assertThat(json(Source.files(store), "tokenizer.json")).isEmpty();
    }

    @Test
    void llama_3s_rotary_scaling_is_recognized_by_its_table() throws IOException {
        // By hand for head_dim 8, base 500000, factor 8: wave lengths 6.28, 167, 4443 and 118143 in 8192 positions.
        double smooth = (8192 / (2 * Math.PI * Math.pow(500000, 0.5)) - 1) / 3;
        float[] table = {1, 1, (float) (1 / ((1 - smooth) / 8 + smooth)), 8};
        GgufFile file = tiny().put("llama.rope.freq_base", 500000f).tensor("rope_freqs.weight", table, 4);
        MemoryStore store = new MemoryStore().put("m.gguf", file.bytes());
        JsonNode scaling = json(Source.files(store), "config.json").get("rope_scaling");
        assertThat(scaling.get("rope_type").asText()).isEqualTo("llama3");
        assertThat(scaling.get("factor").asDouble()).isEqualTo(8);
        assertThat(Model.open(store).tensors().names()).doesNotContain("rope_freqs.weight");
        // Another table is one for all lengths, whatever it came from.
        table[1] = 2;
        byte[] other = tiny().put("llama.rope.freq_base", 500000f)
                .tensor("rope_freqs.weight", table, 4)
                .bytes();
        scaling = json(Source.files(new MemoryStore().put("m.gguf", other)), "config.json")
                .get("rope_scaling");
        assertThat(scaling.get("rope_type").asText()).isEqualTo("longrope");
        assertThat(scaling.get("short_factor").get(1).asDouble()).isEqualTo(2);
        assertThat(scaling.get("long_factor")).isEqualTo(scaling.get("short_factor"));
    }

    @Test
    void what_cannot_be_read_is_said() {
        refused(
                new GgufFile().put("general.architecture", "rwkv"),
                "its architecture is rwkv, and GGUF files are read of");
        refused(
                new GgufFile().put("general.architecture", "llama").tensor("token_embd.weight", new float[4], 2, 2),
                "its embedding_length is null (put the model's config.json beside it)");
        refused(
                tiny().tensor("blk.0.ssm.weight", new float[4], 2, 2),
                "tensor 'blk.0.ssm.weight' is not one that its architecture has");
        MemoryStore two = new MemoryStore().put("a.gguf", new byte[0]).put("b.gguf", new byte[0]);
        assertThatThrownBy(() -> Model.open(two))
                .hasMessage("Cannot choose a model in memory: it holds 2 GGUF files, a.gguf, b.gguf "
                        + "(name one of them, with its folder before it)");
    }

    /** Whatever a byte is changed to, the answer is a model or a sentence. */
    @Test
    void a_broken_header_is_a_sentence() {
        byte[] whole = tiny().bytes();
        Random random = Seeds.random();
        for (int i = 0; i < 3000; i++) {
            byte[] broken = whole.clone();
            int at = random.nextInt(900);
            broken[at] = (byte) random.nextInt(256);
            byte[] cut = random.nextInt(10) == 0 ? java.util.Arrays.copyOf(broken, random.nextInt(900)) : broken;
            try {
                Model.open(new MemoryStore().put("m.gguf", cut));
            } catch (QuernException expected) {
                assertThat(expected.getMessage()).startsWith("Cannot ");
            } catch (IOException | RuntimeException e) {
                throw new AssertionError("byte " + at + " as " + broken[at], e);
            }
        }
    }

    private static void refused(GgufFile file, String reason) {
        assertThatThrownBy(() -> Model.open(new MemoryStore().put("m.gguf", file.bytes())))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining(reason);
    }

    private static JsonNode json(BlobStore files, String file) throws IOException {
        ByteBuffer bytes = files.read(file, 0, (int) files.length(file));
        byte[] text = new byte[bytes.remaining()];
        bytes.get(text);
        return JSON.readTree(text);
    }

    /** One layer, hidden 16, two heads. */
    private static GgufFile tiny() {
        String layer = "blk.0.";
        return new GgufFile()
                .put("general.architecture", "llama")
                .put("llama.context_length", 64)
                .put("llama.embedding_length", 16)
                .put("llama.block_count", 1)
                .put("llama.feed_forward_length", 24)
                .put("llama.attention.head_count", 2)
                .put("llama.attention.layer_norm_rms_epsilon", 1e-5f)
                .put("tokenizer.ggml.model", "gpt2")
                .put("tokenizer.ggml.pre", "gpt-2")
                .put("tokenizer.ggml.tokens", List.of("<s>", "a", "b", "ab"))
                .put("tokenizer.ggml.token_type", List.of(3, 1, 1, 1))
                .put("tokenizer.ggml.merges", List.of("a b"))
                .put("tokenizer.ggml.bos_token_id", 0)
                .put("tokenizer.ggml.add_bos_token", true)
                .tensor("token_embd.weight", random(4 * 16, 0), 4, 16)
                .tensor("output_norm.weight", random(16, 8), 16)
                .tensor(layer + "attn_norm.weight", random(16, 9), 16)
                .tensor(layer + "ffn_norm.weight", random(16, 10), 16)
                .tensor(layer + "attn_q.weight", random(16 * 16, 1), 16, 16)
                .tensor(layer + "attn_k.weight", random(16 * 16, 2), 16, 16)
                .tensor(layer + "attn_v.weight", random(16 * 16, 3), 16, 16)
                .tensor(layer + "attn_output.weight", random(16 * 16, 4), 16, 16)
                .tensor(layer + "ffn_gate.weight", random(24 * 16, 5), 24, 16)
                .tensor(layer + "ffn_up.weight", random(24 * 16, 6), 24, 16)
                .tensor(layer + "ffn_down.weight", random(16 * 24, 7), 16, 24);
    }

    private static float[] random(int count, int seed) {
        Random random = new Random(Seeds.seed() + seed);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }
}
