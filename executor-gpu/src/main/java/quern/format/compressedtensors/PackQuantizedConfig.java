package quern.format.compressedtensors;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.Scheme;
import quern.tensor.DType;

/** The {@code quantization_config} block of pack-quantized checkpoints, as it is written and as it is found. */
final class PackQuantizedConfig {
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

        return CompressedConfig.write(FORMAT, weights, null, kept);
    }

    private static @Nullable String orderName(ColumnOrder order) {
        return switch (order) {
            case STATIC -> "static";
            case FULL -> "group";
            case GROUP, OFF -> null;
        };
    }

    static @Nullable Scheme read(Map<String, Object> quantizationConfig, DType scaleType) {
        Settings weights = CompressedConfig.weights(quantizationConfig, FORMAT);
        if (weights == null) {
            return null;
        }
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
