package quern.format.gptq;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;

/** The {@code quantization_config} block of GPTQ checkpoints, as it is written and as it is found. */
final class GptqConfig {
    /** Linears that some loaders fuse, and the name they look for then. */
    private static final Map<String, List<String>> FUSED = Map.of(
            "qkv_proj", List.of("q_proj", "k_proj", "v_proj"),
            "gate_up_proj", List.of("gate_proj", "up_proj"));

    /** What GPTQModel needs to see before it trusts the zero points of an asymmetric v1 checkpoint. */
    private static final String ZEROS_AS_IN = "gptqmodel:0.9.0";

    private GptqConfig() {}

    static Map<String, Object> write(
            String format, Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Scheme usual = schemes.usual();
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "gptq");
        block.putAll(codes(usual));
        block.put("desc_act", usual.order() == ColumnOrder.FULL);
        block.put("static_groups", usual.order() == ColumnOrder.STATIC);
        block.put("checkpoint_format", format);
        block.put("format", format);
        block.put("pack_dtype", "int32");
        block.put("lm_head", false);
        block.put("damp_percent", recipe.percdamp());
        block.put("true_sequential", recipe.trueSequential());
        Map<String, Object> dynamic = new LinkedHashMap<>();
        schemes.others(quantized)
                .forEach((scheme, linears) -> withFused(linears)
                        .forEach(name -> dynamic.put("+:^" + KeptModules.regex(name) + "$", codes(scheme))));
        withFused(kept).forEach(name -> dynamic.put("-:^" + KeptModules.regex(name) + "$", Map.of()));
        if (!dynamic.isEmpty()) {
            block.put("dynamic", dynamic);
        }
        if (!kept.isEmpty()) { // what transformers reads in place of it
            block.put("modules_in_block_to_quantize", List.of(endings(quantized, kept)));
        }
        List<String> quantizer = new ArrayList<>(List.of("quern:0.1.0"));
        if (!usual.symmetric() && format.equals("gptq")) {
            quantizer.add(ZEROS_AS_IN);
        }
        Map<String, Object> meta = new LinkedHashMap<>();
        meta.put("quantizer", quantizer);
        meta.put("method", recipe.method());
        meta.put("act_group_aware", usual.order() == ColumnOrder.GROUP);
        meta.put("static_groups", usual.order() == ColumnOrder.STATIC);
        meta.put("scales", recipe.scales().name().toLowerCase(Locale.ROOT));
        block.put("meta", meta);
        return block;
    }

    private static Map<String, Object> codes(Scheme scheme) {
        Map<String, Object> codes = new LinkedHashMap<>();
        codes.put("bits", scheme.bits());
        codes.put("group_size", scheme.groupSize());
        codes.put("sym", scheme.symmetric());
        return codes;
    }

    /** Full names, and those of fused linears of which all parts are among them. */
    private static Set<String> withFused(List<String> linears) {
        Set<String> names = new TreeSet<>(linears);
        for (String name : linears) {
            String parent = name.substring(0, name.lastIndexOf('.') + 1);
            FUSED.forEach((fused, parts) -> {
                if (parts.stream().allMatch(part -> names.contains(parent + part))) {
                    names.add(parent + fused);
                }
            });
        }
        return names;
    }

    /**
     * What the names of quantized linears end with, and no name of a kept one: the name within its layer where every
     * layer agrees, else full names.
     */
    private static List<String> endings(List<String> quantized, List<String> kept) {
        Map<String, Set<String>> byEnding = new TreeMap<>();
        quantized.forEach(name -> byEnding.computeIfAbsent(withinLayer(name), e -> new TreeSet<>())
                .add(name));
        List<String> endings = new ArrayList<>();
        byEnding.forEach((ending, names) -> {
            if (kept.stream().noneMatch(name -> name.endsWith(ending))) {
                endings.add(ending);
            } else {
                endings.addAll(names);
            }
        });
        return endings;
    }

    /** {@code model.layers.3.self_attn.q_proj}: {@code self_attn.q_proj}. */
    private static String withinLayer(String name) {
        return Pattern.compile("^.*?\\.\\d+\\.").matcher(name).replaceFirst("");
    }

    static @Nullable Schemes read(String format, Map<String, Object> quantizationConfig, DType scaleType) {
        Settings block = new Settings(quantizationConfig);
        if (!format.equals(formatOf(block))) {
            return null;
        }
        int groupSize = block.has("group_size") ? block.integer("group_size") : -1;
        Scheme usual =
                new Scheme(block.integer("bits"), groupSize, block.flag("sym", true), false, order(block), scaleType);
        Settings dynamic = block.part("dynamic");
        List<Schemes.Beginning> others = new ArrayList<>();
        for (String pattern : dynamic.values().keySet()) {
            if (!pattern.startsWith("-:")) {
                others.add(other(pattern, dynamic.part(pattern), usual));
            }
        }
        return new Schemes(usual, Map.of(), others);
    }

    /** A pattern, with or without the sign {@code +:}, holds from the beginning of a name. */
    private static Schemes.Beginning other(String pattern, Settings change, Scheme usual) {
        Scheme scheme = new Scheme(
                change.has("bits") ? change.integer("bits") : usual.bits(),
                change.has("group_size") ? change.integer("group_size") : usual.groupSize(),
                change.flag("sym", usual.symmetric()),
                false,
                usual.order(),
                usual.scaleType());
        return Schemes.Beginning.of(pattern.replaceFirst("^\\+:", ""), scheme);
    }

    /** The name of the layout, or null if it is not one of GPTQ's. */
    private static @Nullable String formatOf(Settings block) {
        String method = block.text("quant_method");
        if (!"gptq".equals(method)) {
            return null;
        }
        String format = block.has("checkpoint_format") ? block.text("checkpoint_format") : block.text("format");
        return format == null ? "gptq" : format;
    }

    private static ColumnOrder order(Settings block) {
        Settings meta = block.part("meta");
        if (block.flag("static_groups", false) || meta.flag("static_groups", false)) {
            return ColumnOrder.STATIC;
        }
        if (block.flag("desc_act", false)) {
            return ColumnOrder.FULL;
        }
        return meta.flag("act_group_aware", false) ? ColumnOrder.GROUP : ColumnOrder.OFF;
    }
}
