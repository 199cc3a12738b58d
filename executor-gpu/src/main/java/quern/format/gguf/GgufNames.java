package quern.format.gguf;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What tensors are called in a file, and in a Hugging Face model. Both name modules, with {@code .weight} and {@code .bias} behind them; a
 * name that holds one of these, or whose tensor is called otherwise there, is that of a tensor.
 *
 * @param layers what the number of a layer stands behind there
 * @param outside of layers, by the name in the file
 * @param inLayer within a layer
 */
record GgufNames(String layers, Map<String, String> outside, Map<String, String> inLayer) {
    /** Stands for the number of an expert in the name of a tensor that is a slice of another. */
    static final String ANY = ".experts.#.";

    private static final Pattern NAME = Pattern.compile("(?:blk\\.(\\d+)\\.)?((\\w+)\\.(weight|bias))");
    private static final Pattern IN_LAYER = Pattern.compile("(\\d+)\\.(.+)");

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
        Matcher parts = NAME.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        Map<String, String> names = layer == null ? outside : inLayer;
        String root = layer == null ? "" : layers + layer + ".";
        String whole = names.get(parts.group(2));
        if (whole != null) {
            return root + whole;
        }
        String module = names.get(parts.group(3));
        return module == null ? null : root + module + "." + parts.group(4);
    }

    /** The names in a file of the tensors that hold this one, in order; none if it has no name there. */
    List<String> there(String tensor) {
        Matcher parts = IN_LAYER.matcher(tensor.startsWith(layers) ? tensor.substring(layers.length()) : "");
        boolean inside = parts.matches();
        String name = (inside ? parts.group(2) : tensor).replaceFirst("\\.experts\\.\\d+\\.", ANY);
        int dot = name.lastIndexOf('.');
        String suffix = name.endsWith(".weight") || name.endsWith(".bias") ? name.substring(dot) : "";
        return (inside ? inLayer : outside)
                .entrySet().stream()
                        .filter(entry -> entry.getValue()
                                .equals(
                                        entry.getKey().contains(".")
                                                ? name
                                                : name.substring(0, name.length() - suffix.length())))
                        .filter(entry -> entry.getKey().contains(".") || !suffix.isEmpty())
                        .map(entry -> (inside ? "blk." + parts.group(1) + "." : "")
                                + entry.getKey()
                                + (entry.getKey().contains(".") ? "" : suffix))
                        .sorted()
                        .toList();
    }
}
