package quern.format.compressedtensors;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;

/** The {@code quantization_config} block of pack-quantized checkpoints, as it is written and as it is found. */
final class PackQuantizedConfig {
    private static final String FORMAT = "pack-quantized";

    private PackQuantizedConfig() {}

    static Map<String, Object> write(Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        List<Map<String, Object>> groups = new ArrayList<>();
        groups.add(CompressedConfig.group(List.of(CompressedConfig.LINEAR), weights(schemes.usual()), null));
        schemes.others(quantized)
                .forEach((scheme, linears) -> groups.add(CompressedConfig.group(linears, weights(scheme), null)));
        return CompressedConfig.write(recipe, FORMAT, groups, kept);
    }

    private static Map<String, Object> weights(Scheme scheme) {
        boolean wholeRow = scheme.groupSize() == -1;
        Map<String, Object> weights = new LinkedHashMap<>();
        weights.put("num_bits", scheme.bits());
        weights.put("type", "int");
        weights.put("symmetric", scheme.symmetric());
        weights.put("strategy", wholeRow ? "channel" : "group");
        weights.put("group_size", wholeRow ? null : scheme.groupSize());
        weights.put("dynamic", false);
        weights.put("actorder", wholeRow ? null : orderName(scheme.order()));
        return weights;
    }

    private static @Nullable String orderName(ColumnOrder order) {
        return switch (order) {
            case STATIC -> "static";
            case FULL -> "group";
            case GROUP, OFF -> null;
        };
    }

    static @Nullable Schemes read(Map<String, Object> quantizationConfig, DType scaleType) {
        List<CompressedConfig.Group> groups = CompressedConfig.groups(quantizationConfig, FORMAT);
        if (groups == null) {
            return null;
        }
        if (groups.isEmpty()) {
            throw new QuernException(
                    "Cannot read this checkpoint: its quantization_config has no config_groups (download the model again)");
        }
        Scheme usual = scheme(groups.get(0).weights(), scaleType);
        Map<String, Scheme> named = new LinkedHashMap<>();
        List<Schemes.Beginning> others = new ArrayList<>();
        for (CompressedConfig.Group group : groups) {
            Scheme scheme = scheme(group.weights(), scaleType);
            for (String target : group.targets()) {
                if (target.equals(CompressedConfig.LINEAR)) {
                    usual = scheme;
                } else if (target.startsWith("re:")) {
                    others.add(Schemes.Beginning.of(target.substring(3), scheme));
                } else {
                    named.put(target, scheme);
                }
            }
        }
        return new Schemes(usual, named, others);
    }

    private static Scheme scheme(Settings weights, DType scaleType) {
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
