package quern.format.compressedtensors;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.Scheme;
import quern.tensor.DType;

/** The {@code quantization_config} block of pack-quantized checkpoints, as it is written and as it is found. */
final class PackQuantizedConfig {
    private static final String METHOD = "compressed-tensors";
    private static final String FORMAT = "pack-quantized";

    private PackQuantizedConfig() {}

    static Map<String, Object> write(Scheme scheme, List<String> kept) {
        boolean wholeRow = scheme.groupSize() == -1;
        Map<String, Object> weights = new LinkedHashMap<>();
        weights.put("num_bits", scheme.bits());
        weights.put("type", "int");
        weights.put("symmetric", scheme.symmetric());
        weights.put("strategy", wholeRow ? "channel" : "group");
        weights.put("group_size", wholeRow ? null : scheme.groupSize());
        weights.put("dynamic", false);
        weights.put("actorder", wholeRow ? null : orderName(scheme.order()));

        Map<String, Object> group = new LinkedHashMap<>();
        group.put("targets", List.of("Linear"));
        group.put("weights", weights);
        group.put("input_activations", null);
        group.put("output_activations", null);

        List<String> ignore = new ArrayList<>(List.of("lm_head"));
        for (String name : kept) {
            ignore.add(KeptModules.isWhole(name) ? "re:" + KeptModules.regex(name) : name);
        }

        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("format", FORMAT);
        block.put("quantization_status", "compressed");
        block.put("config_groups", Map.of("group_0", group));
        block.put("ignore", ignore);
        block.put("kv_cache_scheme", null);
        block.put("global_compression_ratio", null);
        return block;
    }

    private static @Nullable String orderName(ColumnOrder order) {
        return switch (order) {
            case STATIC -> "static";
            case FULL -> "group";
            case GROUP, OFF -> null;
        };
    }

    static @Nullable Scheme read(Map<String, Object> quantizationConfig, DType scaleType) {
        Settings block = new Settings(quantizationConfig);
        if (!METHOD.equals(block.text("quant_method")) || !FORMAT.equals(block.text("format"))) {
            return null;
        }
        Settings groups = block.part("config_groups");
        Set<Map<String, Object>> schemes = new LinkedHashSet<>();
        for (String name : groups.values().keySet()) {
            schemes.add(groups.part(name).part("weights").values());
        }
        if (schemes.size() != 1) {
            throw new QuernException("Cannot read this checkpoint: its quantization_config has " + schemes.size()
                    + " different schemes of weights (only one scheme per checkpoint is read)");
        }
        Settings weights = new Settings(schemes.iterator().next());
        String strategy = weights.text("strategy");
        boolean wholeRow = "channel".equals(strategy);
        if (!wholeRow && !"group".equals(strategy)) {
            throw unread("strategy", strategy);
        }
        if (!"int".equals(weights.text("type"))) {
            throw unread("type", weights.text("type"));
        }
        return new Scheme(
                weights.integer("num_bits"),
                wholeRow ? -1 : weights.integer("group_size"),
                weights.flag("symmetric", true),
                false,
                order(weights),
                scaleType);
    }

    private static ColumnOrder order(Settings weights) {
        if (weights.values().get("actorder") instanceof Boolean full) {
            return full ? ColumnOrder.FULL : ColumnOrder.OFF;
        }
        String order = weights.text("actorder");
        return order == null
                ? ColumnOrder.OFF
                : switch (order) {
                    case "weight", "static" -> ColumnOrder.STATIC;
                    case "group", "dynamic" -> ColumnOrder.FULL;
                    default -> throw unread("actorder", order);
                };
    }

    private static QuernException unread(String key, @Nullable String value) {
        return new QuernException("Cannot read this checkpoint: its weights have " + key + " " + value
                + " (the format pack-quantized is read with integer weights per group or channel)");
    }
}
