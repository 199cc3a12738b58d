package quern.format.modelopt;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quern.format.FixedScale;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.scheme.LevelGrid;
import quern.scheme.Recipe;
import quern.tensor.DType;

/** The {@code quantization_config} block of the library. */
final class ModelOptConfig {
    private static final String METHOD = "modelopt";

    private ModelOptConfig() {}

    static Map<String, Object> write(
            Recipe recipe,
            String algorithm,
            Map<String, Object> weights,
            Map<String, Object> inputs,
            List<String> kept) {
        List<String> ignore = new ArrayList<>(List.of("lm_head"));
        for (String name : kept) {
            ignore.add(KeptModules.isWhole(name) ? name.substring(0, name.length() - 2) + "*" : name);
        }
        Map<String, Object> group = new LinkedHashMap<>();
        group.put("input_activations", inputs);
        group.put("weights", weights);
        group.put("targets", List.of("Linear"));

        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("quant_algo", algorithm);
        block.put("config_groups", Map.of("group_0", group));
        block.put("ignore", ignore);
        if (recipe.fixed().cache()) {
            block.put("kv_cache_scheme", eightBits());
        }
        return block;
    }

    /** 8-bit floats with one fixed scale. */
    static Map<String, Object> eightBits() {
        return new LinkedHashMap<>(Map.of("dynamic", false, "num_bits", 8, "type", "float"));
    }

    static boolean is(Map<String, Object> quantizationConfig, String algorithm) {
        Settings block = new Settings(quantizationConfig);
        return METHOD.equals(block.text("quant_method")) && algorithm.equalsIgnoreCase(block.text("quant_algo"));
    }

    static List<FixedScale> cacheScales() {
        float reach = LevelGrid.E4M3.reach();
        return List.of(
                FixedScale.multiplier(".k_proj.k_scale", DType.F32, reach),
                FixedScale.multiplier(".v_proj.v_scale", DType.F32, reach));
    }
}
