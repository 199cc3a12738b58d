package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;

/** Which layers see a window only: from {@code layer_types}, or by the family's rule where an older config lacks it. */
final class LayerTypes {
    static final String SLIDING = "sliding_attention";
    static final String FULL = "full_attention";

    private LayerTypes() {}

    /** For each layer {@link #SLIDING} or {@link #FULL}. */
    static List<String> of(Fields config, Architecture architecture, int layers) {
        List<String> types = new ArrayList<>();
        JsonNode given = config.find("layer_types");
        if (given == null) {
            Architecture.Sliding rule = architecture.sliding();
            int from = layers;
            if (rule != null) {
                String key = rule.from();
                from = key == null ? 0 : config.integer(key, 0, Integer.MAX_VALUE);
            }
            for (int layer = 0; layer < layers; layer++) {
                types.add(layer >= from ? SLIDING : FULL);
            }
            return types;
        }
        if (!given.isArray() || given.size() != layers) {
            throw config.wrong("layer_types", given, "a list of one entry for each of the " + layers + " layers");
        }
        for (JsonNode type : given) {
            if (!type.asText().equals(SLIDING) && !type.asText().equals(FULL)) {
                throw config.wrong("layer_types", type, "made of " + FULL + " and " + SLIDING);
            }
            types.add(type.asText());
        }
        return types;
    }

    /** Tokens that a token of a sliding layer sees; 0 where the family has none or the config switches it off. */
    static int window(Fields config, Architecture architecture) {
        Architecture.Sliding rule = architecture.sliding();
        if (rule == null) {
            return 0;
        }
        String condition = rule.condition();
        if ((condition != null && !config.bool(condition)) || !config.has(rule.size())) {
            return 0;
        }
        return config.integer(rule.size(), 1, Integer.MAX_VALUE);
    }
}
