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
    private static final String ROUTER = "ffn_gate_inp";

    /** Stands for the number of an expert in the name of a tensor that is a slice of another. */
    private static final String ANY = ".experts.#.";

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
                    Map.of("ffn_up", "mlp.c_fc", "ffn_down", "mlp.c_proj")),
            gated("phi3", "phi3", "Phi3ForCausalLM", false)
                    .with(Map.of("attn_qkv", "self_attn.qkv_proj", "ffn_up", "mlp.gate_up_proj")),
            gemma("gemma2", "gemma2", "Gemma2ForCausalLM"),
            gemma("gemma3", "gemma3_text", "Gemma3ForCausalLM"),
            gated("llama", "mixtral", "MixtralForCausalLM", true)
                    .with(experts("block_sparse_moe.gate", "block_sparse_moe.experts.#.", "w1", "w3", "w2")),
            gated("qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", false)
                    .with(experts("mlp.gate", "mlp.experts.#.", "gate_proj", "up_proj", "down_proj")));

    private static GgufFamily gated(String architecture, String modelType, String classes, boolean permuted) {
        return new GgufFamily(architecture, modelType, classes, permuted, "silu", RMS, Map.of());
    }

    private static GgufFamily gemma(String architecture, String modelType, String classes) {
        return new GgufFamily(
                architecture,
                modelType,
                classes,
                false,
                "gelu_pytorch_tanh",
                RMS,
                Map.of(
                        "post_attention_norm", "post_attention_layernorm",
                        "ffn_norm", "pre_feedforward_layernorm",
                        "post_ffw_norm", "post_feedforward_layernorm"));
    }

    /** Whether weights of norms are offsets from one in a Hugging Face model, and windows and caps are known to llama.cpp. */
    public boolean isGemma() {
        return architecture.startsWith("gemma");
    }

    /** What the config calls the activation. */
    public String activationKey() {
        return isGemma() ? "hidden_activation" : "hidden_act";
    }

    /** What is added to the values of a tensor of a Hugging Face model. */
    public float offset(String tensor) {
        return isGemma() && tensor.endsWith("norm.weight") ? 1 : 0;
    }

    private GgufFamily with(Map<String, String> names) {
        return new GgufFamily(architecture, modelType, classes, permuted, activation, norm, names);
    }

    private static Map<String, String> experts(String router, String expert, String gate, String up, String down) {
        return Map.of(
                ROUTER,
                router,
                "ffn_gate_exps",
                expert + gate,
                "ffn_up_exps",
                expert + up,
                "ffn_down_exps",
                expert + down);
    }

    /** Whether layers have experts, of which those of all are one tensor. */
    public boolean hasExperts() {
        return own.containsKey(ROUTER);
    }

    /** Whether its norms take the mean away. */
    public boolean layerNorm() {
        return !norm.equals(RMS);
    }

    /** What frequencies of rotary positions are divided by. It is generated from the config and stands in it again. */
    public static final String ROPE_FACTORS = "rope_freqs.weight";

    /** The same for sequences up to the original length, and beyond. */
    public static final String SHORT_FACTORS = "rope_factors_short.weight";

    public static final String LONG_FACTORS = "rope_factors_long.weight";

    /** Whether a tensor of this name is generated from the config. */
    public static boolean isGenerated(String tensor) {
        return tensor.equals(ROPE_FACTORS) || tensor.equals(SHORT_FACTORS) || tensor.equals(LONG_FACTORS);
    }

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

    /**
     * By its {@code general.architecture}; null if its files are not read. Of two the first.
     *
     * @param experts whether the file says how many there are
     */
    public static @Nullable GgufFamily read(String architecture, boolean experts) {
        return ALL.stream()
                .filter(f -> f.architecture().equals(architecture) && f.hasExperts() == experts)
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

    /** The name that the tensor has in a Hugging Face model; null if it has none. Of a stack {@link #slice} has those of its slices. */
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

    /** Whether a tensor of this name in a Hugging Face model is a slice of one, for each expert. */
    public static boolean isStack(String name) {
        return name.contains(ANY);
    }

    /** The name of an expert's tensor, of that of all. */
    public static String slice(String name, int expert) {
        return name.replace(ANY, ".experts." + expert + ".");
    }

    /** The name that a tensor of a Hugging Face model has in its files; null if it has none. Experts have one for all. */
    public @Nullable String there(String tensor) {
        Matcher parts = OURS.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = (layer == null ? OUTSIDE_THERE : turned(inLayer()))
                .get(parts.group(2).replaceFirst("\\.experts\\.\\d+\\.", ANY));
        return module == null ? null : (layer == null ? "" : "blk." + layer + ".") + module + "." + parts.group(3);
    }

    /** Whether the rows of this tensor stand in another order than in a Hugging Face model. */
    public boolean permutes(String tensor) {
        Matcher parts = NAME.matcher(tensor);
        return permuted && parts.matches() && TURNING.contains(parts.group(2));
    }
}
