package quern.export;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Map;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.model.Model;
import quern.model.ModelConfig;

/** The keys of a file that say what the model is, of its {@code config.json}; ggml's {@code docs/gguf.md} lists them. */
record GgufMetadata(GgufFamily family, Model model, JsonNode json) {
    private static final int QUANTIZATION_VERSION = 2;

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
        metadata.put(key + "rope.dimension_count", config.rotaryDim());
        metadata.put(key + "rope.freq_base", (float) config.ropeTheta());
        addScaling(metadata, key + "rope.scaling.");
        String activation = json.path("hidden_act").asText(family.activation()).replace("swish", "silu");
        if (!activation.equals(family.activation())) {
            throw refused("its hidden_act is %s, and llama.cpp runs the family with %s"
                    .formatted(activation, family.activation()));
        }
    }

    /** Where tokens see the last ones only, which llama.cpp does not know of these families, it holds up to there. */
    private int context() {
        return model.config().windows().stream().filter(window -> window > 0).reduce(model.maxPositions(), Math::min);
    }

    private String scaling() {
        JsonNode scaling = scalingFields();
        return scaling.path("rope_type").asText(scaling.path("type").asText("default"));
    }

    private JsonNode scalingFields() {
        return json.has("rope_parameters") ? json.path("rope_parameters") : json.path("rope_scaling");
    }

    /** How many divisors of frequencies the file has as a tensor. */
    int ropeFactors() {
        return scaling().equals("llama3") ? model.config().rotaryDim() / 2 : 0;
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
            case "linear" -> {
                metadata.put(key + "type", "linear");
                metadata.put(key + "factor", (float) fields.path("factor").asDouble());
            }
            case "yarn" -> {
                for (String other : List.of("attention_factor", "mscale", "mscale_all_dim", "truncate")) {
                    if (fields.hasNonNull(other)) {
                        throw refused("its rope_scaling has " + other);
                    }
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
