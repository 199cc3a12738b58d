package quern.export;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntPredicate;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.model.Model;
import quern.model.ModelConfig;

/** The keys of a file that say what the model is, of its {@code config.json}; ggml's {@code docs/gguf.md} lists them. */
record GgufMetadata(GgufFamily family, Model model, JsonNode json) {
    private static final int QUANTIZATION_VERSION = 2;
    private static final String PARALLEL = "use_parallel_residual";

    /** @param fileType of the mixture */
    void addTo(Map<String, Object> metadata, int fileType) {
        ModelConfig config = model.config();
        metadata.put("general.architecture", family.architecture());
        metadata.put("general.type", "model");
        metadata.put("general.quantization_version", QUANTIZATION_VERSION);
        metadata.put("general.file_type", fileType);
        String key = family.architecture() + ".";
        metadata.put(key + "vocab_size", config.vocabulary());
        metadata.put(key + "context_length", context());
        metadata.put(key + "embedding_length", config.hiddenSize());
        metadata.put(key + "block_count", config.layers());
        metadata.put(key + "feed_forward_length", config.intermediateSize());
        metadata.put(key + "attention.head_count", config.heads());
        metadata.put(key + "attention.head_count_kv", config.kvHeads());
        metadata.put(key + "attention.key_length", config.headDim());
        metadata.put(key + "attention.value_length", config.valueDim());
        metadata.put(
                key + (family.layerNorm() ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"),
                config.normEps());
        metadata.put(key + "rope.dimension_count", config.rotated());
        metadata.put(key + "rope.freq_base", (float) config.ropeTheta(family.isGemma() ? whole() : 0));
        addScaling(metadata, key + "rope.scaling.");
        if (family.hasExperts()) {
            addExperts(metadata, key);
        }
        if (family.isGemma()) {
            addGemma(metadata, key);
        }
        if (family.isGptOss()) {
            addWindows(metadata, key, layer -> layer % 2 == 0, "each second layer, the first among them");
            metadata.put(key + "expert_feed_forward_length", config.intermediateSize());
        }
        if (family.modelType().equals("gpt_neox")) {
            JsonNode parallel = model.said(PARALLEL);
            metadata.put(key + PARALLEL, parallel != null && parallel.asBoolean());
        }
        family.fixed().forEach(this::require);
        String activation = json.path(family.activationKey()).asText(family.activation());
        if (!family.activates(activation)) {
            throw refused("its activation is %s, and llama.cpp runs the family with %s"
                    .formatted(activation, family.activation()));
        }
    }

    private void require(String key, Object value) {
        JsonNode said = model.said(key);
        boolean same = value instanceof Number number
                ? said != null && said.isNumber() && said.asDouble() == number.doubleValue()
                : Boolean.valueOf(said != null && said.asBoolean()).equals(value);
        if (!same) {
            throw refused("its %s is %s, and llama.cpp runs the family with %s"
                    .formatted(key, said == null ? "absent" : said.asText(), value));
        }
    }

    /** Where tokens see the last ones only, which llama.cpp does not know of these families, it holds up to there. */
    private int context() {
        if (family.hasWindows()) {
            return model.maxPositions();
        }
        return model.config().windows().stream().filter(window -> window > 0).reduce(model.maxPositions(), Math::min);
    }

    private String scaling() {
        JsonNode scaling = scalingFields();
        String type = scaling.path("rope_type").asText(scaling.path("type").asText("default"));
        // Older configs of the family have these names for it.
        return family.architecture().equals("phi3") && List.of("su", "yarn").contains(type) ? "longrope" : type;
    }

    private JsonNode scalingFields() {
        JsonNode said = json.has("rope_parameters") ? json.path("rope_parameters") : model.said("rope_scaling");
        JsonNode fields = said == null ? MissingNode.getInstance() : said;
        return fields.path("full_attention").isObject() ? fields.path("full_attention") : fields;
    }

    /** The first layer in which tokens see all others; 0 where there is none. */
    private int whole() {
        return Math.max(0, model.config().windows().indexOf(0));
    }

    /** Windows of all layers but each nth, caps, and positions of the layers that have windows. */
    private void addGemma(Map<String, Object> metadata, String key) {
        ModelConfig config = model.config();
        List<Integer> windows = config.windows();
        boolean second = family.architecture().equals("gemma2");
        int period = second ? 2 : windows.contains(0) ? windows.indexOf(0) + 1 : 6;
        addWindows(
                metadata,
                key,
                layer -> (layer + 1) % period != 0,
                second ? "all layers but each second" : "all layers but each nth");
        int large = second ? 46 : 62; // layers of the one model whose scores are scaled otherwise
        int scale = config.layers() == large ? config.hiddenSize() / config.heads() : config.headDim();
        if (Math.abs(config.attentionScales().get(0) * Math.sqrt(scale) - 1) > 1e-6) {
            throw refused("its query_pre_attn_scalar is %s, and llama.cpp scales scores by %d ^ -0.5"
                    .formatted(json.path("query_pre_attn_scalar").asText("absent"), scale));
        }
        double last = json.path("final_logit_softcapping").asDouble(second ? 30 : 0);
        if (second) {
            if (config.attentionCap() == 0 || last == 0) {
                throw refused("it has no caps of scores and logits, and llama.cpp runs the family with both");
            }
            metadata.put(key + "attn_logit_softcapping", config.attentionCap());
            metadata.put(key + "final_logit_softcapping", (float) last);
        } else {
            if (last != 0) {
                throw refused("its final_logit_softcapping is " + last);
            }
            metadata.put(key + "attention.sliding_window_pattern", period);
            metadata.put(key + "rope.freq_base_swa", (float) config.ropeTheta());
        }
    }

    private void addWindows(Map<String, Object> metadata, String key, IntPredicate sliding, String which) {
        List<Integer> windows = model.config().windows();
        int window = Collections.max(windows);
        for (int layer = 0; layer < windows.size(); layer++) {
            if (windows.get(layer) != (sliding.test(layer) ? window : 0) || window == 0) {
                throw refused(
                        "its windows are %s, and llama.cpp runs the family with one in %s".formatted(windows, which));
            }
        }
        metadata.put(key + "attention.sliding_window", window);
    }

    private void addExperts(Map<String, Object> metadata, String key) {
        for (int layer = 0; layer < model.layers(); layer++) {
            if (model.experts(layer) == 0) {
                throw refused(
                        "layer %d has no experts, and llama.cpp runs the family with experts in all".formatted(layer));
            }
        }
        putSize(metadata, key + "expert_feed_forward_length", "moe_intermediate_size");
        putSize(metadata, key + "expert_shared_feed_forward_length", "shared_expert_intermediate_size");
        metadata.put(key + "expert_count", model.experts(0));
        metadata.put(key + "expert_used_count", model.expertsOfToken());
    }

    /** Where the family has such a size. */
    private void putSize(Map<String, Object> metadata, String key, String ofConfig) {
        JsonNode size = model.said(ofConfig);
        if (size != null) {
            metadata.put(key, size.asInt());
        }
    }

    /** What frequencies are divided by, as tensors of the file. */
    Map<String, float[]> ropeFactors() {
        return switch (scaling()) {
            case "llama3" -> Map.of(GgufFamily.ROPE_FACTORS, model.config().ropeDivisors());
            case "longrope" ->
                new TreeMap<>(Map.of(
                        GgufFamily.LONG_FACTORS,
                        numbers("long_factor"),
                        GgufFamily.SHORT_FACTORS,
                        numbers("short_factor")));
            default -> Map.of();
        };
    }

    private float[] numbers(String key) {
        JsonNode list = scalingFields().path(key);
        float[] numbers = new float[list.size()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) list.get(i).asDouble();
        }
        return numbers;
    }

    private void addScaling(Map<String, Object> metadata, String key) {
        JsonNode fields = scalingFields();
        switch (scaling()) {
            case "default" -> {}
            case "llama3" -> {
                if (!family.architecture().equals("llama")) {
                    throw refused("its rotary positions are scaled as those of Llama 3");
                }
            }
            case "longrope" -> {
                if (!family.architecture().equals("phi3")) {
                    throw refused("its rotary positions are scaled as those of Phi 3");
                }
                metadata.put(key + "attn_factor", (float) model.config().ropeMagnitude());
                JsonNode original = json.path("original_max_position_embeddings");
                metadata.put(
                        key + "original_context_length",
                        original.asInt(
                                fields.path("original_max_position_embeddings").asInt(model.maxPositions())));
            }
            case "linear" -> {
                metadata.put(key + "type", "linear");
                metadata.put(key + "factor", (float) fields.path("factor").asDouble());
            }
            case "yarn" -> {
                for (String other : List.of("attention_factor", "mscale", "mscale_all_dim")) {
                    if (fields.hasNonNull(other)) {
                        throw refused("its rope_scaling has " + other);
                    }
                }
                // Of gpt-oss too it rounds the pairs between which frequencies are blended; all who run it there do
                // with that.
                if (!fields.path("truncate").asBoolean(true) && !family.isGptOss()) {
                    throw refused("its rope_scaling has truncate false");
                }
                metadata.put(key + "type", "yarn");
                metadata.put(key + "factor", (float) fields.path("factor").asDouble());
                metadata.put(
                        key + "original_context_length",
                        fields.path("original_max_position_embeddings").asInt(model.maxPositions()));
                metadata.put(
                        key + "yarn_beta_fast", (float) fields.path("beta_fast").asDouble(32));
                metadata.put(
                        key + "yarn_beta_slow", (float) fields.path("beta_slow").asDouble(1));
            }
            default -> throw refused("its rotary positions are scaled in the way of " + scaling());
        }
    }

    private QuernException refused(String reason) {
        return new QuernException("Cannot write %s as GGUF: %s (use another format)"
                .formatted(model.store().location(), reason));
    }
}
