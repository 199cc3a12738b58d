package quern.format.gguf;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * What tensors are called in a file, and in a Hugging Face model. A name without a dot in the file is that of a module, and stands for its
 * {@code .weight} and its {@code .bias} in both.
 *
 * @param layers what the number of a layer stands behind there
 * @param outside of layers, by the name in the file
 * @param inLayer within a layer
 */
record GgufNames(String layers, Map<String, String> outside, Map<String, String> inLayer) {
    /** Stands for the number of an expert in the name of a tensor that is a slice of another. */
    static final String ANY = ".experts.#.";

    private static final Pattern HERE = Pattern.compile("(?:blk\\.(\\d+)\\.)?(.+)");
    private static final Pattern THERE = Pattern.compile("(?:(\\d+)\\.)?(.+)");
    /** The weight of an expert that is a slice of one tensor of the model. */
    private static final Pattern SLICE = Pattern.compile("(.*\\.experts\\.[a-z_]+)\\.\\d+\\.weight");

    GgufNames {
        outside = tensors(outside);
        inLayer = tensors(inLayer);
    }

    private static Map<String, String> tensors(Map<String, String> names) {
        Map<String, String> tensors = new HashMap<>();
        names.forEach((here, there) -> {
            if (here.contains(".")) {
                tensors.put(here, there);
            } else {
                tensors.put(here + ".weight", there + ".weight");
                tensors.put(here + ".bias", there + ".bias");
            }
        });
        return Map.copyOf(tensors);
    }

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

    /** These, and others within a layer; what they name has no other name. */
    GgufNames with(Map<String, String> own) {
        Map<String, String> names = new HashMap<>(inLayer);
        names.values().removeAll(tensors(own).values());
        names.putAll(tensors(own));
        return new GgufNames(layers, outside, names);
    }

    /** The name there of a tensor of a file; null if it has none. */
    @Nullable
    String name(String tensor) {
        Matcher parts = HERE.matcher(tensor);
        if (!parts.matches()) {
            return null;
        }
        String layer = parts.group(1);
        String name = (layer == null ? outside : inLayer).get(parts.group(2));
        return name == null || layer == null ? name : layers + layer + "." + name;
    }

    /**
     * The names in a file of the tensors that hold this one, in order; none if it has no name there. Of a slice, those that hold all
     * slices.
     */
    List<String> there(String tensor) {
        Matcher parts = THERE.matcher(tensor.startsWith(layers) ? tensor.substring(layers.length()) : tensor);
        if (!parts.matches()) {
            return List.of();
        }
        String layer = parts.group(1);
        String name = SLICE.matcher(parts.group(2)).replaceFirst("$1").replaceFirst("\\.experts\\.\\d+\\.", ANY);
        return (layer == null ? outside : inLayer)
                .entrySet().stream()
                        .filter(entry -> entry.getValue().equals(name))
                        .map(entry -> (layer == null ? "" : "blk." + layer + ".") + entry.getKey())
                        .sorted()
                        .toList();
    }
}
