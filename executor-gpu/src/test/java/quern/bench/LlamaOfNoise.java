package quern.bench;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import quern.store.BlobStore;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

/**
 * A checkpoint with the shapes of a Llama and normally distributed weights, written as fast as its place takes it: a speed does not
 * hang on what weights say. The same seed gives the same bytes.
 */
record LlamaOfNoise(int hidden, int inner, int heads, int kvHeads, int vocabulary, int layers) {
    private static final int HEAD = 128;

    /** Llama-3-8B, Llama-3-70B, or one that any machine takes; of as many layers as are asked for. */
    static LlamaOfNoise named(String name, int layers) {
        return switch (name) {
            case "8b" -> new LlamaOfNoise(4096, 14336, 32, 8, 128256, layers);
            case "70b" -> new LlamaOfNoise(8192, 28672, 64, 8, 128256, layers);
            case "tiny" -> new LlamaOfNoise(256, 384, 2, 1, 512, layers);
            default -> throw new IllegalArgumentException("No shapes named " + name);
        };
    }

    /** Bytes of its weights. */
    long bytes() {
        return files().stream()
                .flatMap(List::stream)
                .mapToLong(TensorSpec::bytes)
                .sum();
    }

    /** A file for the embeddings, one for each layer, one for what comes after. */
    private List<List<TensorSpec>> files() {
        List<List<TensorSpec>> files = new ArrayList<>();
        files.add(List.of(TensorSpec.of("model.embed_tokens.weight", DType.BF16, vocabulary, hidden)));
        for (int layer = 0; layer < layers; layer++) {
            String p = "model.layers." + layer + ".";
            files.add(List.of(
                    TensorSpec.of(p + "input_layernorm.weight", DType.BF16, hidden),
                    TensorSpec.of(p + "self_attn.q_proj.weight", DType.BF16, heads * HEAD, hidden),
                    TensorSpec.of(p + "self_attn.k_proj.weight", DType.BF16, kvHeads * HEAD, hidden),
                    TensorSpec.of(p + "self_attn.v_proj.weight", DType.BF16, kvHeads * HEAD, hidden),
                    TensorSpec.of(p + "self_attn.o_proj.weight", DType.BF16, hidden, heads * HEAD),
                    TensorSpec.of(p + "post_attention_layernorm.weight", DType.BF16, hidden),
                    TensorSpec.of(p + "mlp.gate_proj.weight", DType.BF16, inner, hidden),
                    TensorSpec.of(p + "mlp.up_proj.weight", DType.BF16, inner, hidden),
                    TensorSpec.of(p + "mlp.down_proj.weight", DType.BF16, hidden, inner)));
        }
        files.add(List.of(
                TensorSpec.of("model.norm.weight", DType.BF16, hidden),
                TensorSpec.of("lm_head.weight", DType.BF16, vocabulary, hidden)));
        return files;
    }

    void write(Path folder, int threads) throws IOException {
        BlobStore store = new LocalStore(folder);
        byte[] normal = normal();
        List<List<TensorSpec>> files = files();
        Map<String, String> fileOfTensor = new HashMap<>();
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<Callable<Boolean>> calls = new ArrayList<>();
            for (int i = 0; i < files.size(); i++) {
                List<TensorSpec> tensors = files.get(i);
                String file = "model-%05d-of-%05d.safetensors".formatted(i + 1, files.size());
                tensors.forEach(t -> fileOfTensor.put(t.name(), file));
                calls.add(() -> {
                    store.write(
                            file,
                            out -> SafetensorsWriter.write(
                                    out, tensors, Map.of("format", "pt"), (t, to) -> noise(t, normal, to)));
                    return true;
                });
            }
            for (Future<Boolean> written : pool.invokeAll(calls)) {
                written.get();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("Interrupted", e);
        } catch (ExecutionException e) {
            throw new IOException("Cannot write " + folder + ": " + e.getCause(), e);
        } finally {
            pool.shutdown();
        }
        StringBuilder index = new StringBuilder("{\"metadata\": {\"total_size\": " + bytes() + "}, \"weight_map\": {");
        fileOfTensor.forEach((tensor, file) -> index.append(index.charAt(index.length() - 1) == '{' ? "" : ", ")
                .append("\"%s\": \"%s\"".formatted(tensor, file)));
        text(store, "model.safetensors.index.json", index + "}}");
        text(store, "config.json", """
                {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": %d,
                 "intermediate_size": %d, "num_hidden_layers": %d, "num_attention_heads": %d,
                 "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d, "max_position_embeddings": 8192,
                 "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "hidden_act": "silu",
                 "tie_word_embeddings": false, "torch_dtype": "bfloat16"}
                """.formatted(hidden, inner, layers, heads, kvHeads, HEAD, vocabulary));
    }

    private static void text(BlobStore store, String path, String text) throws IOException {
        store.write(path, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }

    /** Of 2^16 draws, as bytes of bf16. */
    private static byte[] normal() {
        Random random = new Random(1);
        byte[] table = new byte[1 << 17];
        for (int i = 0; i < table.length; i += 2) {
            int bits = Float.floatToRawIntBits(0.02f * (float) random.nextGaussian());
            table[i] = (byte) (bits >>> 16);
            table[i + 1] = (byte) (bits >>> 24);
        }
        return table;
    }

    /** Weights of norms are ones; others are drawn out of the table. */
    private static void noise(TensorSpec tensor, byte[] table, OutputStream out) throws IOException {
        boolean ones = tensor.name().endsWith("norm.weight");
        SplittableRandom random = new SplittableRandom(tensor.name().hashCode());
        byte[] some = new byte[1 << 20];
        for (long left = tensor.bytes(); left > 0; left -= some.length) {
            long draw = 0;
            for (int i = 0; i < some.length; i += 2) {
                draw = i % 8 == 0 ? random.nextLong() : draw >>> 16;
                int at = 2 * (int) (draw & 0xffff);
                some[i] = ones ? (byte) 0x80 : table[at];
                some[i + 1] = ones ? (byte) 0x3f : table[at + 1];
            }
            out.write(some, 0, (int) Math.min(left, some.length));
        }
    }
}
