package quern.recommend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;
import quern.cli.Commands;
import quern.cli.Main;
import quern.cli.QuantizeRequest;
import quern.model.Model;
import quern.store.LocalStore;

/** Llama 3 70B by its sizes: a config, an index, and safetensors files that are headers before holes. */
class RecommendationTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int HIDDEN = 8192;
    private static final int INNER = 28_672;
    private static final int LAYERS = 80;
    private static final int VOCABULARY = 128_256;

    @TempDir
    static Path folder;

    private static Model large;

    @BeforeAll
    static void write() throws Exception {
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("model_type", "llama");
        config.put("architectures", List.of("LlamaForCausalLM"));
        config.put("hidden_size", HIDDEN);
        config.put("intermediate_size", INNER);
        config.put("num_hidden_layers", LAYERS);
        config.put("num_attention_heads", 64);
        config.put("num_key_value_heads", 8);
        config.put("vocab_size", VOCABULARY);
        config.put("max_position_embeddings", 131_072);
        config.put("tie_word_embeddings", false);
        JSON.writeValue(folder.resolve("config.json").toFile(), config);
        Map<String, String> index = new LinkedHashMap<>();
        for (int file = 0; file < 2; file++) {
            Map<String, List<Integer>> tensors = new LinkedHashMap<>();
            if (file == 0) {
                tensors.put("model.embed_tokens.weight", List.of(VOCABULARY, HIDDEN));
            } else {
                tensors.put("model.norm.weight", List.of(HIDDEN));
                tensors.put("lm_head.weight", List.of(VOCABULARY, HIDDEN));
            }
            for (int layer = file * LAYERS / 2; layer < (file + 1) * LAYERS / 2; layer++) {
                String name = "model.layers." + layer + ".";
                tensors.put(name + "self_attn.q_proj.weight", List.of(HIDDEN, HIDDEN));
                tensors.put(name + "self_attn.k_proj.weight", List.of(1024, HIDDEN));
                tensors.put(name + "self_attn.v_proj.weight", List.of(1024, HIDDEN));
                tensors.put(name + "self_attn.o_proj.weight", List.of(HIDDEN, HIDDEN));
                tensors.put(name + "mlp.gate_proj.weight", List.of(INNER, HIDDEN));
                tensors.put(name + "mlp.up_proj.weight", List.of(INNER, HIDDEN));
                tensors.put(name + "mlp.down_proj.weight", List.of(HIDDEN, INNER));
                tensors.put(name + "input_layernorm.weight", List.of(HIDDEN));
                tensors.put(name + "post_attention_layernorm.weight", List.of(HIDDEN));
            }
            String shard = "model-0000" + (file + 1) + "-of-00002.safetensors";
            tensors.keySet().forEach(t -> index.put(t, shard));
            sparse(folder.resolve(shard), tensors);
        }
        JSON.writeValue(
                folder.resolve("model.safetensors.index.json").toFile(),
                Map.of("metadata", Map.of(), "weight_map", index));
        large = Model.open(new LocalStore(folder));
    }

    private static void sparse(Path file, Map<String, List<Integer>> tensors) throws Exception {
        Map<String, Object> header = new LinkedHashMap<>();
        long at = 0;
        for (var tensor : tensors.entrySet()) {
            long bytes = tensor.getValue().stream().mapToLong(d -> d).reduce(2, (a, b) -> a * b);
            header.put(
                    tensor.getKey(),
                    Map.of("dtype", "BF16", "shape", tensor.getValue(), "data_offsets", List.of(at, at + bytes)));
            at += bytes;
        }
        byte[] json = JSON.writeValueAsString(header).getBytes(StandardCharsets.UTF_8);
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.writeLong(Long.reverseBytes(json.length));
            out.write(json);
            out.setLength(8 + json.length + at);
        }
    }

    private static List<String> recommend(
            @Nullable String gpu, long memory, String server, @Nullable Double kl, int context) {
        return Recommendation.of(large, new Recommendation.Request("me/large", gpu, memory, server, kl, context));
    }

    /** Worked out by hand: 70.554 billion parameters; 4.5 MiB a linear's groups and shapes included. */
    @Test
    void memory_by_precision_is_exact() {
        List<String> lines = recommend("H200", 0, "transformers", null, 8192);

        // 2 x 80 layers x 8 heads x 128 columns x 2 bytes x 8192 tokens
        assertThat(lines).anyMatch(l -> l.contains("70.55 billion parameters"));
        assertThat(lines).anyMatch(l -> l.contains("KV cache of 2.7 GB"));
        assertThat(lines).anyMatch(l -> l.matches("16 bits, as it is +141\\.1 GB .*too large"));
        // 68,451,041,280 weights: half a byte each, 2 bytes for each 128; 16 for each of 560 linears; 4,205,330,432 of
        // the rest
        assertThat(lines).anyMatch(l -> l.matches("4 bits +39\\.5 GB .*fits"));
        assertThat(lines).anyMatch(l -> l.matches("8 bits +73\\.7 GB .*fits"));
        assertThat(lines).anyMatch(l -> l.matches("3 bits +30\\.9 GB .*fits"));
        assertThat(lines).anyMatch(l -> l.matches("2 bits +22\\.4 GB .*fits"));
    }

    @Test
    void the_command_stands_last_and_is_one_that_quantize_takes() {
        String last = last(recommend("H100", 0, "vllm", null, 8192));

        assertThat(last).startsWith("  quern quantize me/large --out large-");
        assertThat(accepted(last.strip().split(" "))).isNotNull();
    }

    @Test
    void with_a_bound_on_the_loss_the_smallest_is_taken() {
        List<String> lines = recommend("H200", 0, "vllm", 0.02, 8192);

        assertThat(last(lines)).doesNotContain("int8");
        assertThat(lines).anyMatch(l -> l.contains("the smallest whose measured loss is within 0.02"));
        assertThatThrownBy(() -> recommend("H200", 0, "vllm", 1e-9, 8192))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("has the least");
    }

    @Test
    void what_a_server_does_not_read_is_named_with_the_reason() {
        List<String> lines = recommend("A100-80GB", 0, "vllm", null, 2048);

        assertThat(lines).anyMatch(l -> l.contains("compressed-tensors-fp8") && l.contains("compute capability 8.9"));
        assertThat(lines).anyMatch(l -> l.contains("hqq") && l.contains("vLLM is not known to read this format."));
        assertThat(lines).anyMatch(l -> l.contains("gptq, 3 bits") && l.contains("reads 4 and 8 bits"));
        List<String> tgi = recommend("H100", 0, "tgi", null, 2048);
        assertThat(tgi).anyMatch(l -> l.startsWith("  gptq, 4 bits") || l.startsWith("> gptq, 4 bits"));
    }

    /** llama.cpp computes with what is stored, transformers with what it unpacks: 141 GB. */
    @Test
    void a_format_takes_what_the_server_makes_of_it() {
        List<String> lines = recommend("A100-80GB", 0, "llama.cpp", 0.01, 8192);
        assertThat(lines).anyMatch(l -> l.startsWith("> gguf-") && l.contains("fits"));
        assertThat(last(lines)).matches(" {2}quern quantize me/large --out large-gguf-\\w+ --format gguf-\\w+");

        List<String> unpacked = recommend("A100-80GB", 0, "transformers", null, 8192);
        assertThat(unpacked).anyMatch(l -> l.startsWith("  gguf-q4_k_m ") && l.contains("too large"));
    }

    @Test
    void where_nothing_fits_it_says_how_much_is_missing() {
        assertThatThrownBy(() -> recommend("RTX 4090", 0, "vllm", null, 8192))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot fit me/large into 24.0 GB for vLLM: the smallest that it reads, ")
                .hasMessageContaining("too large (use a larger or several GPUs");
    }

    @Test
    void an_unknown_gpu_or_server_names_the_nearest_or_all() {
        assertThatThrownBy(() -> recommend("RTX 4900", 0, "vllm", null, 8192))
                .hasMessageStartingWith(
                        "Cannot use GPU RTX 4900: it is unknown, nearest is RTX-4090 (use one of B200, ");
        assertThatThrownBy(() -> recommend("H100", 0, "ollama", null, 8192))
                .hasMessageStartingWith(
                        "Cannot recommend for server ollama: it is unknown (use one of transformers, vllm,");
        assertThat(Rules.read().gpu("NVIDIA GeForce RTX 4090").compute()).isEqualTo(8.9);
    }

    /** What the rules ask for is what the options that are shown ask for. */
    @Test
    void every_choice_is_a_command() {
        for (Rules.Choice choice : Rules.read().choices()) {
            String[] words = ("quern quantize m --out o " + choice.options()).split(" ");
            assertThat(accepted(words)).as(choice.options()).isNotNull();
            assertThat(accepted(words).recipes().values()).as(choice.options()).containsExactly(choice.asRecipe());
        }
    }

    @Test
    void losses_are_those_of_the_readme() throws Exception {
        String readme = Files.readString(Path.of("..", "README.md"));
        int compared = 0;
        for (Rules.Choice choice : Rules.read().choices()) {
            String row = readme.lines()
                    .filter(l -> l.startsWith("| `" + choice.recipe().get("format") + "`"))
                    .findFirst()
                    .orElse(null);
            if (choice.recipe().size() == 1 && row != null) { // GGUF's mixtures share a row
                assertThat(row).as("%s", choice).containsPattern("\\| %.4f[ ;]".formatted(choice.kl()));
                compared++;
            }
        }
        assertThat(compared).isGreaterThan(18);
    }

    private static String last(List<String> lines) {
        return lines.get(lines.size() - 1);
    }

    /** @param words of a command line, the program's name first */
    private static @Nullable QuantizeRequest accepted(String[] words) {
        AtomicReference<QuantizeRequest> request = new AtomicReference<>();
        Commands commands = (Commands) Proxy.newProxyInstance(
                Commands.class.getClassLoader(), new Class<?>[] {Commands.class}, (proxy, method, arguments) -> {
                    request.set((QuantizeRequest) arguments[0]);
                    return 0;
                });
        PrintWriter silent = new PrintWriter(new StringWriter());
        Main.run(List.of(words).subList(1, words.length).toArray(String[]::new), () -> commands, silent, silent);
        return request.get();
    }
}
