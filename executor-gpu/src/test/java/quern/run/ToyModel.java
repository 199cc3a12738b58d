package quern.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import quern.store.BlobStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/** A llama of random weights, small enough that a whole run takes a second. The same seed gives the same bytes. */
public final class ToyModel {
    public static final int VOCABULARY = 97;

    private ToyModel() {}

    /**
     * The same with experts: the first layer dense, the others of eight experts, of which a token goes to two. Few tokens go to the
     * seventh of them, none to the last.
     */
    public static void writeExperts(BlobStore store, int layers, long seed) throws IOException {
        writeExperts(store, layers, seed, true);
    }

    /** @param firstDense whether the first layer has none */
    static void writeExperts(BlobStore store, int layers, long seed, boolean firstDense) throws IOException {
        int hidden = 64;
        int experts = 8;
        Random random = new Random(seed);
        List<TensorSpec> specs = new ArrayList<>();
        Map<String, ByteBuffer> bytes = new HashMap<>();
        add(specs, bytes, "model.embed_tokens.weight", VOCABULARY, hidden, 1.0, random);
        for (int l = 0; l < layers; l++) {
            String p = "model.layers." + l + ".";
            projections(specs, bytes, p, hidden, random);
            norms(specs, bytes, p, hidden, random);
            norm(specs, bytes, p + "self_attn.q_norm.weight", 16, random);
            norm(specs, bytes, p + "self_attn.k_norm.weight", 16, random);
            if (l == 0 && firstDense) {
                mlp(specs, bytes, p + "mlp.", hidden, 96, random);
                continue;
            }
            for (int e = 0; e < experts; e++) {
                mlp(specs, bytes, p + "mlp.experts." + e + ".", hidden, 32, random);
            }
            float[] router = new float[experts * hidden];
            for (int i = 0; i < router.length; i++) {
                router[i] = 0.3f * (float) random.nextGaussian();
            }
            for (int i = 0; i < hidden; i++) {
                router[2 * hidden + i] = router[i];
                router[3 * hidden + i] = router[hidden + i];
                router[6 * hidden + i] = 0.5f * (router[i] + router[hidden + i]) + 0.2f * router[4 * hidden + i];
                // Of two equal pairs one is always above their mean.
                router[7 * hidden + i] = 0.5f * (router[i] + router[hidden + i]);
            }
            specs.add(TensorSpec.of(p + "mlp.gate.weight", DType.BF16, experts, hidden));
            bytes.put(p + "mlp.gate.weight", HalfFloats.fromFloats(router, DType.BF16));
        }
        norm(specs, bytes, "model.norm.weight", hidden, random);
        store.write(
                "model.safetensors",
                out -> SafetensorsWriter.writeBuffers(out, specs, Map.of(), s -> bytes.get(s.name())));
        text(store, "config.json", """
                {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 64,
                 "intermediate_size": 96, "moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2,
                 "norm_topk_prob": true, "mlp_only_layers": [%s], "decoder_sparse_step": 1,
                 "num_hidden_layers": %d, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "head_dim": 16, "vocab_size": %d, "max_position_embeddings": 64,
                 "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
                 "tie_word_embeddings": true, "torch_dtype": "bfloat16"}
                """.formatted(firstDense ? "0" : "", layers, VOCABULARY));
        text(store, "tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}");
    }

    /** A gpt-oss of random weights: five experts a layer, whose weights are slices of one tensor, as are their biases. */
    public static void writeStacked(BlobStore store, int layers, long seed) throws IOException {
        int hidden = 64;
        int inter = 96;
        int experts = 5;
        Random random = new Random(seed);
        List<TensorSpec> specs = new ArrayList<>();
        Map<String, ByteBuffer> bytes = new HashMap<>();
        add(specs, bytes, "model.embed_tokens.weight", VOCABULARY, hidden, 1.0, random);
        for (int l = 0; l < layers; l++) {
            String p = "model.layers." + l + ".";
            projections(specs, bytes, p, hidden, random);
            norms(specs, bytes, p, hidden, random);
            norm(specs, bytes, p + "self_attn.sinks", 4, random);
            String m = p + "mlp.";
            add(specs, bytes, m + "router.weight", experts, hidden, 0.3, random);
            add(specs, bytes, 0.1, random, m + "router.bias", experts);
            add(specs, bytes, 0.1, random, m + "experts.gate_up_proj", experts, hidden, 2 * inter);
            add(specs, bytes, 0.1, random, m + "experts.gate_up_proj_bias", experts, 2 * inter);
            add(specs, bytes, 0.1, random, m + "experts.down_proj", experts, inter, hidden);
            add(specs, bytes, 0.1, random, m + "experts.down_proj_bias", experts, hidden);
        }
        norm(specs, bytes, "model.norm.weight", hidden, random);
        add(specs, bytes, "lm_head.weight", VOCABULARY, hidden, 0.1, random);
        store.write(
                "model.safetensors",
                out -> SafetensorsWriter.writeBuffers(out, specs, Map.of(), s -> bytes.get(s.name())));
        text(store, "config.json", """
                {"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_size": 64,
                 "intermediate_size": 96, "num_local_experts": 5, "num_experts_per_tok": 2,
                 "num_hidden_layers": %d, "num_attention_heads": 4, "attention_bias": false,
                 "num_key_value_heads": 2, "head_dim": 16, "vocab_size": %d, "max_position_embeddings": 64,
                 "rms_norm_eps": 1e-5, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
                 "sliding_window": 16, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}
                """.formatted(layers, VOCABULARY));
    }

    private static void projections(
            List<TensorSpec> specs, Map<String, ByteBuffer> bytes, String p, int hidden, Random random) {
        add(specs, bytes, p + "self_attn.q_proj.weight", hidden, hidden, 0.1, random);
        add(specs, bytes, p + "self_attn.k_proj.weight", hidden / 2, hidden, 0.1, random);
        add(specs, bytes, p + "self_attn.v_proj.weight", hidden / 2, hidden, 0.1, random);
        add(specs, bytes, p + "self_attn.o_proj.weight", hidden, hidden, 0.1, random);
    }

    private static void norms(
            List<TensorSpec> specs, Map<String, ByteBuffer> bytes, String p, int hidden, Random random) {
        norm(specs, bytes, p + "input_layernorm.weight", hidden, random);
        norm(specs, bytes, p + "post_attention_layernorm.weight", hidden, random);
    }

    private static void mlp(
            List<TensorSpec> specs, Map<String, ByteBuffer> bytes, String p, int hidden, int inter, Random random) {
        add(specs, bytes, p + "gate_proj.weight", inter, hidden, 0.1, random);
        add(specs, bytes, p + "up_proj.weight", inter, hidden, 0.1, random);
        add(specs, bytes, p + "down_proj.weight", hidden, inter, 0.1, random);
    }

    /** Writes config, weights and a few auxiliary files. */
    public static void write(BlobStore store, int layers, long seed) throws IOException {
        write(store, layers, 64, 96, seed);
    }

    /** The same of other widths. */
    static void write(BlobStore store, int layers, int hidden, int intermediate, long seed) throws IOException {
        Random random = new Random(seed);
        List<TensorSpec> specs = new ArrayList<>();
        Map<String, ByteBuffer> bytes = new HashMap<>();
        add(specs, bytes, "model.embed_tokens.weight", VOCABULARY, hidden, 1.0, random);
        for (int l = 0; l < layers; l++) {
            String p = "model.layers." + l + ".";
            projections(specs, bytes, p, hidden, random);
            mlp(specs, bytes, p + "mlp.", hidden, intermediate, random);
            norms(specs, bytes, p, hidden, random);
        }
        norm(specs, bytes, "model.norm.weight", hidden, random);
        store.write(
                "model.safetensors",
                out -> SafetensorsWriter.writeBuffers(out, specs, Map.of(), s -> bytes.get(s.name())));
        text(store, "config.json", """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
                 "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "head_dim": %d, "vocab_size": %d, "max_position_embeddings": 64,
                 "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
                 "tie_word_embeddings": true, "torch_dtype": "bfloat16"}
                """.formatted(hidden, intermediate, layers, hidden / 4, VOCABULARY));
        text(store, "tokenizer_config.json", "{\"tokenizer_class\": \"LlamaTokenizer\"}");
        text(store, "generation_config.json", "{\"eos_token_id\": 1}");
    }

    /**
     * Of byte-level BPE, as a GGUF file needs one.
     *
     * @param cut how text is cut first, as {@code tokenizer.json} says it
     */
    static void tokenizer(BlobStore store, String cut, int tokens) throws IOException {
        String vocabulary = IntStream.range(0, tokens)
                .mapToObj(id -> "\"t" + id + "\": " + id)
                .collect(Collectors.joining(", "));
        text(store, "tokenizer.json", """
                {"added_tokens": [{"id": 0, "content": "<s>", "special": true}], "pre_tokenizer": %s,
                 "model": {"type": "BPE", "vocab": {%s}, "merges": [["a b", "c"]]}}
                """.formatted(cut, vocabulary));
    }

    /** Random sequences, some tokens more frequent than others. */
    public static List<int[]> tokens(int sequences, int length, long seed) {
        Random random = new Random(seed);
        List<int[]> windows = new ArrayList<>();
        for (int s = 0; s < sequences; s++) {
            windows.add(random.ints(length, 0, VOCABULARY)
                    .map(t -> random.nextBoolean() ? t : t % 7)
                    .toArray());
        }
        return windows;
    }

    private static void text(BlobStore store, String path, String text) throws IOException {
        store.write(path, out -> out.write(text.getBytes(java.nio.charset.StandardCharsets.UTF_8)));
    }

    private static void norm(
            List<TensorSpec> specs, Map<String, ByteBuffer> bytes, String name, int size, Random random) {
        float[] values = new float[size];
        for (int i = 0; i < size; i++) {
            values[i] = 1 + 0.2f * (float) random.nextGaussian();
        }
        specs.add(TensorSpec.of(name, DType.BF16, size));
        bytes.put(name, HalfFloats.fromFloats(values, DType.BF16));
    }

    private static void add(
            List<TensorSpec> specs,
            Map<String, ByteBuffer> bytes,
            String name,
            int rows,
            int cols,
            double deviation,
            Random random) {
        add(specs, bytes, deviation, random, name, rows, cols);
    }

    private static void add(
            List<TensorSpec> specs,
            Map<String, ByteBuffer> bytes,
            double deviation,
            Random random,
            String name,
            long... shape) {
        TensorSpec spec = TensorSpec.of(name, DType.BF16, shape);
        float[] values = new float[(int) spec.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        specs.add(spec);
        bytes.put(name, HalfFloats.fromFloats(values, DType.BF16));
    }
}
