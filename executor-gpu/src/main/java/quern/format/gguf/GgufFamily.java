package quern.format.gguf;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/**
 * How llama.cpp names the tensors of a family, and what it does to them.
 *
 * @param architecture its {@code general.architecture}
 * @param modelType of the Hugging Face model
 * @param classes its class
 * @param permuted whether rows of q and k stand in pairs that turn together, rather than half a head apart
 * @param activation the {@code hidden_act} with which llama.cpp runs it
 * @param norm what the config calls the epsilon of its norms: those of {@code rms_norm_eps} are RMSNorm, others LayerNorm
 * @param own names within a layer that other families do not have, or have for something else
 */
public record GgufFamily(
        String architecture,
        String modelType,
        String classes,
        boolean permuted,
        String activation,
        String norm,
        Map<String, String> own) {
    private static final String RMS = "rms_norm_eps";
    private static final List<GgufFamily> ALL = List.of(
            gated("llama", "llama", "LlamaForCausalLM", true),
            gated("llama", "mistral", "MistralForCausalLM", true),
            gated("qwen2", "qwen2", "Qwen2ForCausalLM", false),
            gated("qwen3", "qwen3", "Qwen3ForCausalLM", false),
            new GgufFamily(
                    "starcoder2",
                    "starcoder2",
                    "Starcoder2ForCausalLM",
                    false,
                    "gelu_pytorch_tanh",
                    "norm_epsilon",
                    Map.of("ffn_up", "mlp.c_fc", "ffn_down", "mlp.c_proj")));

    private static GgufFamily gated(String architecture, String modelType, String classes, boolean permuted) {
        return new GgufFamily(architecture, modelType, classes, permuted, "silu", RMS, Map.of());
    }

    /** Whether its norms take the mean away. */
    public boolean layerNorm() {
        return !norm.equals(RMS);
    }

    /** What is generated from the config and stands in it again. */
    public static final String ROPE_FACTORS = "rope_freqs.weight";

    private static final Map<String, String> OUTSIDE =
            Map.of("token_embd", "model.embed_tokens", "output_norm", "model.norm", "output", "lm_head");
    private static final Map<String, String> IN_LAYER = Map.ofEntries(
            Map.entry("attn_norm", "input_layernorm"),
            Map.entry("attn_q", "self_attn.q_proj"),
            Map.entry("attn_k", "self_attn.k_proj"),
            Map.entry("attn_v", "self_attn.v_proj"),
            Map.entry("attn_output", "self_attn.o_proj"),
            Map.entry("attn_q_norm", "self_attn.q_norm"),
            Map.entry("attn_k_norm", "self_attn.k_norm"),
            Map.entry("ffn_norm", "post_attention_layernorm"),
            Map.entry("ffn_gate", "mlp.gate_proj"),
            Map.entry("ffn_up", "mlp.up_proj"),
            Map.entry("ffn_down", "mlp.down_proj"));
    private static final Map<String, String> OUTSIDE_THERE = turned(OUTSIDE);
    private static final Pattern NAME = Pattern.compile("(?:blk\\.(\\d+)\\.)?(\\w+)\\.(weight|bias)");
    private static final Pattern OURS = Pattern.compile("(?:model\\.layers\\.(\\d+)\\.)?([\\w.]+)\\.(weight|bias)");
    private static final List<String> TURNING = List.of("attn_q", "attn_k");

    private static Map<String, String> turned(Map<String, String> names) {
        return names.entrySet().stream().collect(Collectors.toMap(Map.Entry::getValue, Map.Entry::getKey));
    }

    private Map<String, String> inLayer() {
        Map<String, String> names = new HashMap<>(IN_LAYER);
        names.putAll(own);
        return names;
    }

    /** By its {@code general.architecture}; null if its files are not read. Of two the first. */
    public static @Nullable GgufFamily read(String architecture) {
        return ALL.stream()
                .filter(f -> f.architecture().equals(architecture))
                .findFirst()
                .orElse(null);
    }

    /** The values of {@code general.architecture} that are read. */
    public static List<String> architectures() {
        return ALL.stream().map(GgufFamily::architecture).distinct().sorted().toList();
    }

    /** By the {@code model_type} of a model that is to be written. */
    public static GgufFamily written(String modelType) {
        return ALL.stream()
                .filter(f -> f.modelType().equals(modelType))
                .findFirst()
                .orElseThrow(() -> new QuernException("Cannot write a model of type " + modelType
                        + " as GGUF: that is written of "
                        + ALL.stream().map(GgufFamily::modelType).sorted().collect(Collectors.joining(", "))
                        + " (use another format)"));
    }

    /** The name that the tensor has in a Hugging Face model; null if it has none. */
    public @Nullable String name(String tensor) {
        Matcher parts = NAME.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = (layer == null ? OUTSIDE : inLayer()).get(parts.group(2));
        if (module == null) {
            return null;
        }
        return (layer == null ? "" : "model.layers." + layer + ".") + module + "." + parts.group(3);
    }

    /** The name that a tensor of a Hugging Face model has in its files; null if it has none. */
    public @Nullable String there(String tensor) {
        Matcher parts = OURS.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = (layer == null ? OUTSIDE_THERE : turned(inLayer())).get(parts.group(2));
        return module == null ? null : (layer == null ? "" : "blk." + layer + ".") + module + "." + parts.group(3);
    }

    /** Whether the rows of this tensor stand in another order than in a Hugging Face model. */
    public boolean permutes(String tensor) {
        Matcher parts = NAME.matcher(tensor);
        return permuted && parts.matches() && TURNING.contains(parts.group(2));
    }
}
