package quern.format.gguf;

import java.util.HashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What modules are called in a file, and in a Hugging Face model; {@code .weight} and {@code .bias} stand behind both.
 *
 * @param layers what the number of a layer stands behind there
 * @param outside of layers, by the name in the file
 * @param inLayer within a layer
 */
record GgufNames(String layers, Map<String, String> outside, Map<String, String> inLayer) {
    /** Stands for the number of an expert in the name of a tensor that is a slice of another. */
    static final String ANY = ".experts.#.";

    private static final Pattern HERE = Pattern.compile("(?:blk\\.(\\d+)\\.)?(\\w+)\\.(weight|bias)");
    private static final Pattern THERE = Pattern.compile("(?:(\\d+)\\.)?(.+)\\.(weight|bias)");

    /** Those that most families have. */
    static final GgufNames USUAL = new GgufNames(
            "model.layers.",
            Map.of("token_embd", "model.embed_tokens", "output_norm", "model.norm", "output", "lm_head"),
            Map.ofEntries(
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
                    Map.entry("ffn_down", "mlp.down_proj")));

    /** These, and others within a layer; a module that they name has no other name. */
    GgufNames with(Map<String, String> own) {
        Map<String, String> names = new HashMap<>(inLayer);
        names.values().removeAll(own.values());
        names.putAll(own);
        return new GgufNames(layers, outside, Map.copyOf(names));
    }

    /** The name there of a tensor of a file; null if it has none. */
    @Nullable
    String name(String tensor) {
        Matcher parts = HERE.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = (layer == null ? outside : inLayer).get(parts.group(2));
        return module == null ? null : (layer == null ? "" : layers + layer + ".") + module + "." + parts.group(3);
    }

    /** The name in a file of the tensor that holds this one; null if it has none there. */
    @Nullable
    String there(String tensor) {
        Matcher parts = THERE.matcher(tensor.startsWith(layers) ? tensor.substring(layers.length()) : tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String module = parts.group(2).replaceFirst("\\.experts\\.\\d+\\.", ANY);
        return (layer == null ? outside : inLayer)
                .entrySet().stream()
                        .filter(entry -> entry.getValue().equals(module))
                        .map(entry ->
                                (layer == null ? "" : "blk." + layer + ".") + entry.getKey() + "." + parts.group(3))
                        .findFirst()
                        .orElse(null);
    }
}
