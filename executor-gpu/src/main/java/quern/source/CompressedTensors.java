package quern.source;

import java.util.LinkedHashSet;
import java.util.Set;
import quern.format.Settings;

/** The {@code quantization_config} of compressed-tensors, as far as all its formats share it. */
final class CompressedTensors {
    private CompressedTensors() {}

    static boolean is(Settings quantization) {
        return "compressed-tensors".equals(quantization.text("quant_method"));
    }

    /** What it says of weights: one scheme for all. */
    static Settings weights(StoredModel model) {
        Settings groups = model.quantization().part("config_groups");
        Set<Settings> schemes = new LinkedHashSet<>();
        groups.values().keySet().forEach(name -> schemes.add(groups.part(name).part("weights")));
        if (schemes.size() != 1) {
            throw model.unreadable(
                    "its quantization_config has " + schemes.size() + " schemes of weights", "use the original model");
        }
        return schemes.iterator().next();
    }
}
