package quern.source;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * How llama.cpp names the tensors of a family, and what it does to them.
 *
 * @param modelType of the Hugging Face model
 * @param architectures its class
 * @param permuted whether rows of q and k stand in pairs that turn together, rather than half a head apart
 */
record GgufFamily(String modelType, String architectures, boolean permuted) {
    /** By {@code general.architecture}. */
    static final Map<String, GgufFamily> ALL = Map.of(
            "llama", new GgufFamily("llama", "LlamaForCausalLM", true),
            "qwen2", new GgufFamily("qwen2", "Qwen2ForCausalLM", false),
            "qwen3", new GgufFamily("qwen3", "Qwen3ForCausalLM", false));

    /** What is generated from the config and stands in it again. */
    static final String ROPE_FACTORS = "rope_freqs.weight";

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
    private static final Pattern NAME = Pattern.compile("(?:blk\\.(\\d+)\\.)?(\\w+)\\.(weight|bias)");
    private static final List<String> TURNING = List.of("attn_q", "attn_k");

    /** The name that the tensor has in a Hugging Face model; null if it has none. */
    @Nullable
    String name(String tensor) {
        Matcher parts = NAME.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = (layer == null ? OUTSIDE : IN_LAYER).get(parts.group(2));
        if (module == null) {
            return null;
        }
        return (layer == null ? "" : "model.layers." + layer + ".") + module + "." + parts.group(3);
    }

    /** Whether the rows of this tensor stand in another order than in a Hugging Face model. */
    boolean permutes(String tensor) {
        Matcher parts = NAME.matcher(tensor);
        return permuted && parts.matches() && TURNING.contains(parts.group(2));
    }
}
