package quern.format.quanto;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quern.format.Settings;

/** What is said about weights, in the library's file and in ours. */
final class QuantoConfig {
    private QuantoConfig() {}

    /** The library itself needs none of it; transformers refuses a checkpoint that says so, in place of random linears. */
    static Map<String, Object> write(String weights) {
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "quanto");
        block.put("weights", weights);
        block.put("activations", null);
        return block;
    }

    static boolean is(Map<String, Object> quantizationConfig, String weights) {
        Settings block = new Settings(quantizationConfig);
        return "quanto".equals(block.text("quant_method")) && weights.equals(block.text("weights"));
    }

    /** For each linear what the library calls its weights. */
    static Map<String, Object> sideFiles(String weights, List<String> quantized) {
        Map<String, Object> map = new LinkedHashMap<>();
        quantized.forEach(
                linear -> map.put(linear, new LinkedHashMap<>(Map.of("weights", weights, "activations", "none"))));
        return Map.of("quanto_qmap.json", map);
    }
}
