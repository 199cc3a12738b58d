package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.device.ForwardKernels.Activation;
import quern.tensor.DType;

/**
 * What {@code config.json} says of a model, in one spelling: the sizes, and for each layer its window and rotary positions.
 *
 * @param intermediateSize columns between the MLP's linears
 * @param heads query heads
 * @param kvHeads key and value heads, a divisor of {@code heads}
 * @param headDim columns of a head
 * @param maxPositions longest sequence
 * @param normEps epsilon of the norms
 * @param normOffset 1 where stored norm weights are offsets from one
 * @param attentionScale what scores are multiplied by
 * @param tied whether the embedding is the head, too
 * @param windows for each layer: how many tokens a token sees, itself included; 0 for all
 * @param ropes for each layer
 * @param declaredType {@code dtype} or {@code torch_dtype}, where it names a type that we know
 * @param quantization {@code quantization_config} of a model that is quantized
 */
public record ModelConfig(
        String modelType,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int vocabulary,
        int maxPositions,
        float normEps,
        float normOffset,
        Activation activation,
        float attentionScale,
        boolean tied,
        List<Integer> windows,
        List<Rope> ropes,
        @Nullable DType declaredType,
        @Nullable Map<String, Object> quantization) {
    private static final int MAX_SIZE = 1 << 20;
    private static final int MAX_LAYERS = 10_000;
    private static final int MAX_TOKENS = 1 << 28;

    public ModelConfig {
        windows = List.copyOf(windows);
        ropes = List.copyOf(ropes);
    }

    /** @param config with the family's defaults */
    static ModelConfig of(Fields config, Architecture architecture) {
        int hidden = config.integer("hidden_size", 1, MAX_SIZE);
        int layers = config.integer("num_hidden_layers", 1, MAX_LAYERS);
        int heads = config.integer("num_attention_heads", 1, MAX_SIZE);
        int kvHeads = config.integer("num_key_value_heads", 1, MAX_SIZE, heads);
        if (heads % kvHeads != 0) {
            throw config.wrong(
                    "num_key_value_heads", Integer.toString(kvHeads), "a divisor of the " + heads + " heads");
        }
        if (!config.has("head_dim") && hidden % heads != 0) {
            throw config.wrong(
                    "num_attention_heads", Integer.toString(heads), "a divisor of hidden_size, which is " + hidden);
        }
        int headDim = config.integer("head_dim", 1, MAX_SIZE / heads, hidden / heads);
        int maxPositions = config.integer("max_position_embeddings", 1, MAX_TOKENS);
        List<String> layerTypes = LayerTypes.of(config, architecture, layers);
        int window = LayerTypes.window(config, architecture);
        List<Integer> windows = new ArrayList<>();
        List<Rope> ropes = new ArrayList<>();
        List<Boolean> rotary = LayerTypes.rotary(config, architecture, layerTypes);
        for (int layer = 0; layer < layers; layer++) {
            String type = layerTypes.get(layer);
            windows.add(type.equals(LayerTypes.SLIDING) ? window : 0);
            ropes.add(rotary.get(layer) ? rope(config, type, headDim, maxPositions) : Rope.NONE);
        }
        return new ModelConfig(
                config.text("model_type"),
                hidden,
                config.integer("intermediate_size", 1, MAX_SIZE),
                layers,
                heads,
                kvHeads,
                headDim,
                config.integer("vocab_size", 1, MAX_TOKENS),
                maxPositions,
                (float) config.positive("rms_norm_eps"),
                architecture.normOffset(),
                activation(config, "hidden_act"),
                (float) (1 / Math.sqrt(headDim)),
                config.bool("tie_word_embeddings"),
                windows,
                ropes,
                declaredType(config),
                config.has("quantization_config")
                        ? config.object("quantization_config").toMap()
                        : null);
    }

    /** New configs have {@code rope_parameters}, perhaps by layer type; older ones {@code rope_theta} and {@code rope_scaling}. */
    private static Rope rope(Fields config, String layerType, int headDim, int maxPositions) {
        Fields parameters = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        if (parameters.has(layerType)) {
            parameters = parameters.object(layerType);
        }
        double theta = parameters.has("rope_theta") ? parameters.positive("rope_theta") : config.positive("rope_theta");
        Fields holder = parameters.has("partial_rotary_factor") ? parameters : config;
        double partial = holder.positive("partial_rotary_factor", 1);
        int rotated = (int) (headDim * partial);
        if (rotated > headDim || rotated < 2 || rotated % 2 != 0) {
            throw config.wrong(
                    holder.has("partial_rotary_factor") ? "partial_rotary_factor" : "head_dim",
                    holder.has("partial_rotary_factor") ? Double.toString(partial) : Integer.toString(headDim),
                    "such that an even number of columns of a head turns");
        }
        return Rope.of(theta, parameters, rotated, maxPositions);
    }

    private static Activation activation(Fields config, String key) {
        String name = config.text(key);
        switch (name) {
            case "silu", "swish":
                return Activation.SILU;
            case "gelu":
                return Activation.GELU_ERF;
            case "gelu_new", "gelu_pytorch_tanh", "gelu_fast":
                return Activation.GELU_TANH;
            case "relu":
                return Activation.RELU;
            default:
                throw config.wrong(
                        key, "'" + Fields.abbreviated(name) + "'", "one of silu, gelu, gelu_pytorch_tanh, relu");
        }
    }

    private static @Nullable DType declaredType(Fields config) {
        JsonNode name = config.find(config.has("dtype") ? "dtype" : "torch_dtype");
        if (name == null) {
            return null;
        }
        switch (name.asText()) {
            case "float32":
                return DType.F32;
            case "float16":
                return DType.F16;
            case "bfloat16":
                return DType.BF16;
            default:
                return null;
        }
    }
}
