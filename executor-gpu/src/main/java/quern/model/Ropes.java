package quern.model;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The rotary positions of every layer, from the spellings that configs have had for them. */
final class Ropes {
    private final Fields config;
    private final Architecture.@Nullable Rotary rule;
    private final int headDim;
    private final int maxPositions;

    private Ropes(Fields config, Architecture architecture, int headDim, int maxPositions) {
        this.config = config;
        this.rule = architecture.rotary();
        this.headDim = headDim;
        this.maxPositions = maxPositions;
    }

    /** For each layer; {@link Rope#NONE} for those without. */
    static List<Rope> of(
            Fields config, Architecture architecture, List<String> layerTypes, int headDim, int maxPositions) {
        List<Rope> ropes = new ArrayList<>();
        Ropes reader = new Ropes(config, architecture, headDim, maxPositions);
        boolean turns = architecture.programs(config, 0).layer().has(Operation.ROTARY);
        List<Boolean> rotary = LayerTypes.rotary(config, architecture, layerTypes);
        for (int layer = 0; layer < layerTypes.size(); layer++) {
            ropes.add(turns && rotary.get(layer) ? reader.of(layerTypes.get(layer)) : Rope.NONE);
        }
        return ropes;
    }

    /** New configs have {@code rope_parameters}, perhaps by layer type; older ones {@code rope_theta} and {@code rope_scaling}. */
    private Rope of(String layerType) {
        Fields parameters = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        String theta = "rope_theta";
        if (rule != null && rule.slidingTheta() != null && layerType.equals(LayerTypes.SLIDING)) {
            // Scaling that is not given by layer type is for the others.
            parameters = parameters.object(layerType);
            theta = rule.slidingTheta();
        } else if (parameters.has(layerType)) {
            parameters = parameters.object(layerType);
        }
        double base = parameters.has("rope_theta") ? parameters.positive("rope_theta") : config.positive(theta);
        return Rope.of(base, parameters, type(parameters), rotated(parameters), config, maxPositions);
    }

    private String type(Fields parameters) {
        String type = parameters.text("rope_type", parameters.text("type", "default"));
        return rule == null || rule.types() == null ? type : rule.types().getOrDefault(type, type);
    }

    /** Columns of a head that turn. */
    private int rotated(Fields parameters) {
        String columns = rule == null ? null : rule.columns();
        if (columns != null && config.has(columns)) {
            return even(config.integer(columns, 2, headDim), config, columns);
        }
        Fields holder = parameters.has("partial_rotary_factor") ? parameters : config;
        double partial = holder.positive("partial_rotary_factor", 1);
        String key = holder.has("partial_rotary_factor") ? "partial_rotary_factor" : "head_dim";
        return even((int) Math.min(headDim * partial, Integer.MAX_VALUE), holder, key);
    }

    private int even(int rotated, Fields holder, String key) {
        if (rotated > headDim || rotated < 2 || rotated % 2 != 0) {
            throw holder.wrong(
                    key,
                    holder.has(key) ? String.valueOf(holder.find(key)) : Integer.toString(headDim),
                    "such that an even number of columns of a head turns");
        }
        return rotated;
    }
}
