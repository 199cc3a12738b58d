package quern.format.compressedtensors;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.FixedScale;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.scheme.LevelGrid;
import quern.scheme.Recipe;
import quern.tensor.DType;

/** The {@code quantization_config} block that all formats of the library share. */
final class CompressedConfig {
    /** The class that stands for all linears among targets. */
    static final String LINEAR = "Linear";

    private static final String METHOD = "compressed-tensors";

    private CompressedConfig() {}

    /**
     * @param format the library's name of the tensors' layout
     * @param weights how weights are quantized
     * @param activations how inputs are when the model runs; null if they are not
     */
    static Map<String, Object> write(
            Recipe recipe,
            String format,
            Map<String, Object> weights,
            @Nullable Map<String, Object> activations,
            List<String> kept) {
        return write(recipe, format, List.of(group(List.of(LINEAR), weights, activations)), kept);
    }

    /**
     * Linears that are quantized alike.
     *
     * @param targets their full names, or the class of all that no other group names
     */
    static Map<String, Object> group(
            List<String> targets, Map<String, Object> weights, @Nullable Map<String, Object> activations) {
        Map<String, Object> group = new LinkedHashMap<>();
        group.put("targets", targets);
        group.put("weights", weights);
        group.put("input_activations", activations);
        group.put("output_activations", null);
        return group;
    }

    static Map<String, Object> write(
            Recipe recipe, String format, List<Map<String, Object>> groups, List<String> kept) {
        Map<String, Object> named = new LinkedHashMap<>();
        groups.forEach(group -> named.put("group_" + named.size(), group));

        List<String> ignore = new ArrayList<>(List.of("lm_head"));
        for (String name : kept) {
            ignore.add(KeptModules.isWhole(name) ? "re:" + KeptModules.regex(name) : name);
        }

        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("format", format);
        block.put("quantization_status", "compressed");
        block.put("config_groups", named);
        block.put("ignore", ignore);
        block.put("kv_cache_scheme", recipe.fixed().cache() ? arguments("float", "tensor", false) : null);
        block.put("global_compression_ratio", null);
        return block;
    }

    /** Eight bits, symmetric. */
    static Map<String, Object> arguments(String type, String strategy, boolean dynamic) {
        Map<String, Object> arguments = new LinkedHashMap<>();
        arguments.put("num_bits", 8);
        arguments.put("type", type);
        arguments.put("symmetric", true);
        arguments.put("strategy", strategy);
        arguments.put("dynamic", dynamic);
        return arguments;
    }

    /** Of keys and values in E4M3. */
    static List<FixedScale> cacheScales(DType weights) {
        DType type = weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
        float reach = LevelGrid.E4M3.reach();
        return List.of(
                FixedScale.multiplier(".k_scale", type, reach, 1L), FixedScale.multiplier(".v_scale", type, reach, 1L));
    }

    /** A group of a checkpoint's config. */
    record Group(List<String> targets, Settings weights) {}

    /** How the weights of a checkpoint in one of these layouts are quantized; null where it is none of them. */
    static @Nullable Settings weights(Map<String, Object> quantizationConfig, String... formats) {
        List<Group> groups = groups(quantizationConfig, formats);
        if (groups == null) {
            return null;
        }
        Set<Map<String, Object>> schemes = new LinkedHashSet<>();
        groups.forEach(group -> schemes.add(group.weights().values()));
        if (schemes.size() != 1) {
            throw new QuernException("Cannot read this checkpoint: its quantization_config has " + schemes.size()
                    + " different schemes of weights (more than one are read in the format pack-quantized only)");
        }
        return groups.get(0).weights();
    }

    /** The groups of a checkpoint in one of these layouts; null where it is none of them. */
    static @Nullable List<Group> groups(Map<String, Object> quantizationConfig, String... formats) {
        Settings block = new Settings(quantizationConfig);
        String format = block.text("format");
        if (!METHOD.equals(block.text("quant_method"))
                || format == null
                || !List.of(formats).contains(format)) {
            return null;
        }
        Settings groups = block.part("config_groups");
        List<Group> found = new ArrayList<>();
        for (String name : groups.values().keySet()) {
            Settings group = groups.part(name);
            found.add(new Group(group.texts("targets"), group.part("weights")));
        }
        return found;
    }
}
