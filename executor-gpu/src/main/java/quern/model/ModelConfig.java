package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.device.ForwardKernels.Activation;
import quern.tensor.DType;

/**
 * What {@code config.json} says of a model, in one spelling: the sizes, and for each layer its window and rotary positions.
 *
 * @param embeddingSize columns of the embedding and of the head; the layers' are hiddenSize
 * @param intermediateSize columns between the MLP's linears
 * @param heads query heads
 * @param kvHeads key and value heads, a divisor of {@code heads}
 * @param headDim columns of a head of queries and keys
 * @param valueDim columns of a head of values
 * @param rotaryDim columns of the heads that rotary positions are given: headDim, or less where these are apart from the rest
 * @param maxPositions longest sequence
 * @param positionOffset rows of the table of learned positions before the first
 * @param attentionScales for each layer what scores are multiplied by
 * @param attentionCap what scores are capped at; 0 for nothing
 * @param alibi what the position of a key adds to its scores, or none
 * @param tied whether the embedding is the head, too
 * @param windows for each layer: how many tokens a token sees, itself included; 0 for all
 * @param ropes for each layer
 * @param interleaved whether neighbours turn together, rather than columns half a head apart
 * @param routing how tokens find experts; none where the family has none
 * @param declaredType {@code dtype} or {@code torch_dtype}, where it names a type that we know
 * @param quantization {@code quantization_config} of a model that is quantized
 */
public record ModelConfig(
        String modelType,
        int hiddenSize,
        int embeddingSize,
        int intermediateSize,
        int layers,
        int heads,
        int kvHeads,
        int headDim,
        int valueDim,
        int rotaryDim,
        int vocabulary,
        int maxPositions,
        int positionOffset,
        Norm norm,
        Activation activation,
        List<Float> attentionScales,
        float attentionCap,
        @Nullable Alibi alibi,
        Logits logits,
        boolean tied,
        List<Integer> windows,
        List<Rope> ropes,
        boolean interleaved,
        @Nullable Routing routing,
        @Nullable DType declaredType,
        @Nullable Map<String, Object> quantization) {
    private static final int MAX_SIZE = 1 << 20;
    private static final int MAX_LAYERS = 10_000;
    private static final int MAX_TOKENS = 1 << 28;

    /**
     * @param layer LayerNorm rather than RMSNorm
     * @param offset 1 where stored weights are offsets from one
     */
    record Norm(boolean layer, float eps, float offset, Map<String, Float> fixed) {
        /** Of the norm of this name within its layer. */
        float eps(String module) {
            return fixed.getOrDefault(module, eps);
        }
    }

    /**
     * What becomes of logits.
     *
     * @param factor what they are multiplied by
     * @param cap then l becomes cap * tanh(l / cap); 0 for nothing
     */
    record Logits(float factor, float cap) {
        void apply(float[] logits) {
            for (int i = 0; factor != 1 && i < logits.length; i++) {
                logits[i] *= factor;
            }
            for (int i = 0; cap != 0 && i < logits.length; i++) {
                logits[i] = cap * (float) Math.tanh(logits[i] / cap);
            }
        }
    }

    public ModelConfig {
        attentionScales = List.copyOf(attentionScales);
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
        Architecture.Attention attention = architecture.attention();
        float scale = attention.scale() == null || !config.has(attention.scale())
                ? (float) (1 / Math.sqrt(headDim))
                : (float) config.positive(attention.scale());
        int rotaryDim = architecture.rotary() == null || architecture.rotary().head() == null
                ? headDim
                : config.integer(architecture.rotary().head(), 2, headDim);
        List<Rope> ropes = Ropes.of(config, architecture, layerTypes, rotaryDim, maxPositions);
        boolean byLayer = Condition.holds(attention.byLayer(), config);
        List<Float> scales = new ArrayList<>();
        List<Integer> windows = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            float magnified =
                    attention.mscale() ? (float) (scale * ropes.get(layer).scoreFactor()) : scale;
            scales.add(byLayer ? magnified / (layer + 1) : magnified);
            windows.add(layerTypes.get(layer).equals(LayerTypes.SLIDING) ? window : 0);
        }
        boolean alibi = Condition.holds(attention.alibi(), config);
        Architecture.Norm norm = architecture.norm();
        Architecture.Rotary rotary = architecture.rotary();
        return new ModelConfig(
                config.text("model_type"),
                hidden,
                architecture.keys().containsKey("embedding_size")
                        ? config.integer("embedding_size", 1, MAX_SIZE, hidden)
                        : hidden,
                config.integer("intermediate_size", 1, MAX_SIZE),
                layers,
                heads,
                kvHeads,
                headDim,
                attention.valueDim() == null
                        ? headDim
                        : config.integer(attention.valueDim(), 1, MAX_SIZE / heads, headDim),
                rotaryDim,
                config.integer("vocab_size", 1, MAX_TOKENS),
                maxPositions,
                architecture.positionOffset(),
                new Norm(
                        norm.layer(),
                        (float) config.positive(norm.eps() == null ? "rms_norm_eps" : norm.eps()),
                        norm.offset(),
                        norm.fixed() == null ? Map.of() : norm.fixed()),
                activation(config, "hidden_act"),
                scales,
                (float) cap(config, attention.cap()),
                alibi ? new Alibi(heads, attention.alibiScaled() ? scale : 1, attention.alibiRounded()) : null,
                logits(config, architecture.logits()),
                config.bool("tie_word_embeddings"),
                windows,
                ropes,
                rotary != null && Condition.holds(rotary.interleaved(), config),
                Routing.of(config, architecture.routing()),
                declaredType(config),
                config.has("quantization_config")
                        ? config.object("quantization_config").toMap()
                        : null);
    }

    /** The epsilon of norms. */
    public float normEps() {
        return norm.eps();
    }

    /** The base of the rotary frequencies of the first layer. */
    public double ropeTheta() {
        return ropeTheta(0);
    }

    /** The same of a layer. */
    public double ropeTheta(int layer) {
        return ropes.get(layer).theta();
    }

    /** Columns of a head that turn in the first layer. */
    public int rotated() {
        return 2 * ropes.get(0).inverseFrequencies().length;
    }

    /** What cosines and sines of the first layer are multiplied by. */
    public double ropeMagnitude() {
        return ropes.get(0).magnitude();
    }

    /** What scaling divides each of those frequencies by, half of {@link #rotated}. */
    public float[] ropeDivisors() {
        double[] scaled = ropes.get(0).inverseFrequencies();
        float[] divisors = new float[scaled.length];
        for (int i = 0; i < divisors.length; i++) {
            divisors[i] = (float) (Math.pow(ropeTheta(), -2.0 * i / rotated()) / scaled[i]);
        }
        return divisors;
    }

    /** Of a family whose programs have experts. */
    Routing experts() {
        return Objects.requireNonNull(routing);
    }

    float attentionScale(int layer) {
        return attentionScales.get(layer);
    }

    private static Logits logits(Fields config, Architecture.Logits keys) {
        double factor = keys.scale() == null ? 1 : config.positive(keys.scale(), 1);
        double divisor = keys.divisor() == null ? 1 : config.positive(keys.divisor(), 1);
        return new Logits((float) (factor / divisor), (float) cap(config, keys.cap()));
    }

    private static double cap(Fields config, @Nullable String key) {
        return key == null || !config.has(key) ? 0 : config.positive(key);
    }

    private static Activation activation(Fields config, String key) {
        String name = config.text(key);
        switch (name) {
            case "silu", "swish":
                return Activation.SILU;
            case "gelu", "gelu_python":
                return Activation.GELU_ERF;
            case "gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate":
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
