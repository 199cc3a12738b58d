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
            boolean some = window(config, architecture) > 0;
            for (int layer = 0; layer < layers; layer++) {
                types.add(rule != null && some && slides(config, rule, layer) ? SLIDING : FULL);
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

    private static boolean slides(Fields config, Architecture.Sliding rule, int layer) {
        String from = rule.from();
        String to = rule.to();
        String pattern = rule.pattern();
        return (from == null || layer >= config.integer(from, 0, Integer.MAX_VALUE))
                && (to == null || layer < config.integer(to, 0, Integer.MAX_VALUE))
                && (pattern == null || (layer + 1) % config.integer(pattern, 1, Integer.MAX_VALUE) != 0);
    }

    /** For each layer whether it has rotary positions. */
    static List<Boolean> rotary(Fields config, Architecture architecture, List<String> layerTypes) {
        Architecture.Rotary rule = architecture.rotary();
        boolean onlySliding = rule != null && Condition.holds(rule.onlySliding(), config);
        List<Boolean> rotary = new ArrayList<>();
        for (int layer = 0; layer < layerTypes.size(); layer++) {
            boolean excluded = onlySliding && !layerTypes.get(layer).equals(SLIDING);
            rotary.add(!excluded && (rule == null || flagged(config, rule, layer, layerTypes.size())));
        }
        return rotary;
    }

    private static boolean flagged(Fields config, Architecture.Rotary rule, int layer, int layers) {
        String key = rule.flags();
        JsonNode flags = key == null ? null : config.find(key);
        if (key != null && flags != null) {
            if (!flags.isArray() || flags.size() != layers) {
                throw config.wrong(key, flags, "a list of one entry for each of the " + layers + " layers");
            }
            return flags.get(layer).asInt() != 0;
        }
        String interval = rule.interval();
        return interval == null || (layer + 1) % config.integer(interval, 1, Integer.MAX_VALUE) != 0;
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
