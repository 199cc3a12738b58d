package quern.format.bitsandbytes;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quern.QuernException;
import quern.format.KeptModules;
import quern.format.Settings;

/** What the {@code quantization_config} blocks of 4 and 8 bits share. */
final class Config {
    private Config() {}

    static Map<String, Object> write(boolean fourBits, List<String> kept) {
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "bitsandbytes");
        block.put("load_in_4bit", fourBits);
        block.put("load_in_8bit", !fourBits);
        block.put("llm_int8_threshold", 6.0);
        List<String> skipped = new ArrayList<>();
        if (!kept.isEmpty()) {
            skipped.add("lm_head"); // a list takes the place of the loader's own, which is the head
            kept.forEach(name -> skipped.add(KeptModules.isWhole(name) ? name.substring(0, name.length() - 2) : name));
        }
        block.put("llm_int8_skip_modules", skipped.isEmpty() ? null : skipped);
        block.put("llm_int8_has_fp16_weight", false);
        block.put("llm_int8_enable_fp32_cpu_offload", false);
        return block;
    }

    static boolean is(Settings block, boolean fourBits) {
        return "bitsandbytes".equals(block.text("quant_method"))
                && block.flag(fourBits ? "load_in_4bit" : "load_in_8bit", false);
    }

    static QuernException refused(String format, String reason) {
        return new QuernException("Cannot write format " + format + ": " + reason);
    }
}
