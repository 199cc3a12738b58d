package quern.source;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.format.gguf.GgufType;
import quern.store.BlobStore;
import quern.store.Gguf;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** The {@code config.json} of a model whose metadata stand in a GGUF file. */
final class GgufConfig {
    /** Of Llama 3's scaling of rotary positions. */
    private static final double LOW = 1;

    private static final double HIGH = 4;
    private static final double ORIGINAL = 8192;

    private final GgufModel model;
    private final BlobStore store;

    private GgufConfig(GgufModel model, BlobStore store) {
        this.model = model;
        this.store = store;
    }

    /** {@link QuernException} where the metadata do not tell it. */
    static ObjectNode of(GgufModel model, BlobStore store) throws IOException {
        return new GgufConfig(model, store).config();
    }

    private ObjectNode config() throws IOException {
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.putArray("architectures").add(model.family().classes());
        config.put("model_type", model.family().modelType());
        config.put("hidden_size", model.needed("embedding_length"));
        config.put("intermediate_size", model.needed("feed_forward_length"));
        config.put("num_hidden_layers", model.needed("block_count"));
        config.put("num_attention_heads", model.needed("attention.head_count"));
        Long kvHeads = model.number("attention.head_count_kv");
        config.put("num_key_value_heads", kvHeads == null ? model.needed("attention.head_count") : kvHeads);
        config.put("head_dim", model.headDim());
        config.put(model.family().activationKey(), model.family().activation());
        config.put("max_position_embeddings", model.needed("context_length"));
        config.put(
                model.family().norm(),
                decimal(
                        model.family().layerNorm()
                                ? "attention.layer_norm_epsilon"
                                : "attention.layer_norm_rms_epsilon",
                        null));
        config.put("rope_theta", decimal("rope.freq_base", 10000.0));
        Long rotated = model.number("rope.dimension_count");
        if (rotated != null) {
            boolean whole = rotated == model.headDim();
            if (!whole
                    && (rotated < 2
                            || rotated > model.headDim()
                            || model.family().turnsPairs())) {
                throw refused("its rope.dimension_count is " + rotated + ", and heads have " + model.headDim());
            }
            config.put("partial_rotary_factor", (double) rotated / model.headDim());
        }
        if (model.family().hasExperts()) {
            experts(config);
        }
        if (model.family().isGemma()) {
            gemma(config);
        }
        if (has(GgufFamily.LONG_FACTORS)) {
            config.put("original_max_position_embeddings", model.needed("rope.scaling.original_context_length"));
        }
        if (model.family().isGptOss()) {
            windows(config, layer -> layer % 2 == 0);
        }
        ObjectNode scaling = scaling();
        if (scaling != null) {
            config.set("rope_scaling", scaling);
        } else if (model.family().isGptOss()) { // whose positions are scaled if nothing is said
            config.putObject("rope_scaling").put("rope_type", "default");
        }
        boolean biased = has("blk.0.attn_output.bias");
        switch (model.family().modelType()) {
            case "qwen2", "phi3", "mixtral" -> {} // theirs are fixed
            case "starcoder2" -> config.put("use_bias", biased);
            case "qwen2_moe" -> config.put("qkv_bias", has("blk.0.attn_q.bias"));
            default -> config.put("attention_bias", biased);
        }
        model.family().fixed().forEach(config::putPOJO);
        if (model.own("use_parallel_residual") instanceof Boolean parallel) {
            config.put("use_parallel_residual", parallel);
        }
        if (model.family().modelType().equals("llama")) {
            config.put("mlp_bias", has("blk.0.ffn_down.bias"));
        }
        config.put("tie_word_embeddings", !has("output.weight"));
        config.put("vocab_size", embedding().shape().get(0));
        token(config, "bos_token_id");
        token(config, "eos_token_id");
        config.put("dtype", type(embedding()));
        return config;
    }

    private void gemma(ObjectNode config) {
        boolean second = model.family().architecture().equals("gemma2");
        long layers = model.needed("block_count");
        Long given = model.number("attention.sliding_window_pattern");
        long period = second ? 2 : given == null ? 6 : given;
        windows(config, layer -> (layer + 1) % period != 0);
        boolean large = layers == (second ? 46 : 62);
        config.put(
                "query_pre_attn_scalar",
                large ? model.needed("embedding_length") / model.needed("attention.head_count") : model.headDim());
        if (second) {
            config.put("attn_logit_softcapping", decimal("attn_logit_softcapping", 50.0));
            config.put("final_logit_softcapping", decimal("final_logit_softcapping", 30.0));
        } else {
            config.put("rope_local_base_freq", decimal("rope.freq_base_swa", 10000.0));
        }
    }

    private void windows(ObjectNode config, IntPredicate sliding) {
        config.put("sliding_window", model.needed("attention.sliding_window"));
        ArrayNode types = config.putArray("layer_types");
        for (int layer = 0; layer < model.needed("block_count"); layer++) {
            types.add(sliding.test(layer) ? "sliding_attention" : "full_attention");
        }
    }

    private void experts(ObjectNode config) {
        long count = model.needed("expert_count");
        config.put(model.family().modelType().equals("mixtral") ? "num_local_experts" : "num_experts", count);
        config.put("num_experts_per_tok", model.needed("expert_used_count"));
        if (model.number("expert_feed_forward_length") != null) {
            config.put("moe_intermediate_size", model.needed("expert_feed_forward_length"));
        }
        if (model.number("expert_shared_feed_forward_length") != null) {
            config.put("shared_expert_intermediate_size", model.needed("expert_shared_feed_forward_length"));
        }
    }

    private boolean has(String tensor) {
        return model.tensors().containsKey(tensor);
    }

    private Gguf.Tensor embedding() {
        Gguf.Tensor embedding = model.tensors().get("token_embd.weight");
        if (embedding == null) {
            throw refused("it has no token_embd.weight");
        }
        return embedding;
    }

    private static String type(Gguf.Tensor tensor) {
        GgufType type = GgufType.of(tensor.type());
        return type == GgufType.F32 ? "float32" : type == GgufType.BF16 ? "bfloat16" : "float16";
    }

    private void token(ObjectNode config, String key) {
        if (model.metadata().get("tokenizer.ggml." + key) instanceof Long id) {
            config.put(key, id);
        }
    }

    private double decimal(String key, @Nullable Double otherwise) {
        if (model.own(key) instanceof Double value) {
            return value;
        }
        if (otherwise == null) {
            throw refused("it does not say " + key);
        }
        return otherwise;
    }

    /** How rotary positions are stretched; null if they are not. */
    private @Nullable ObjectNode scaling() throws IOException {
        if (has(GgufFamily.ROPE_FACTORS)) {
            return llama3();
        }
        if (has(GgufFamily.LONG_FACTORS)) {
            return longrope();
        }
        Object type = model.own("rope.scaling.type");
        Object factor = model.own("rope.scaling.factor");
        if (type == null && factor == null || "none".equals(type)) {
            return null;
        }
        ObjectNode scaling = JsonNodeFactory.instance.objectNode();
        if (!(factor instanceof Double times)
                || type != null && !List.of("linear", "yarn").contains(type)) {
            throw refused("its rope.scaling.type is " + StoredModel.shown(type));
        }
        scaling.put("rope_type", type == null ? "linear" : type.toString());
        scaling.put("factor", times);
        Long original = model.number("rope.scaling.original_context_length");
        if (original != null) {
            scaling.put("original_max_position_embeddings", original);
        }
        for (String turns : List.of("beta_fast", "beta_slow")) {
            if (model.own("rope.scaling.yarn_" + turns) instanceof Double value) {
                scaling.put(turns, value);
            }
        }
        return scaling;
    }

    /** Phi 3's scaling stands in the file as two tables. */
    private ObjectNode longrope() throws IOException {
        ObjectNode scaling = JsonNodeFactory.instance.objectNode();
        scaling.put("rope_type", "longrope");
        if (model.own("rope.scaling.attn_factor") instanceof Double factor) {
            scaling.put("attention_factor", factor);
        }
        for (String length : List.of("short", "long")) {
            Gguf.Tensor tensor = model.tensors().get("rope_factors_" + length + ".weight");
            if (tensor == null || tensor.type() != 0 || tensor.shape().size() != 1) {
                throw refused("its rope_factors_" + length + ".weight is no table of floats");
            }
            int count = Math.toIntExact(tensor.shape().get(0));
            ArrayNode list = scaling.putArray(length + "_factor");
            for (float value :
                    HalfFloats.toFloats(store.read(tensor.file(), tensor.offset(), 4 * count), DType.F32, count)) {
                list.add(value);
            }
        }
        return scaling;
    }

    /**
     * Llama 3's scaling stands in the file as what it divides each frequency by. It follows from four numbers, of which published models
     * differ in the factor alone: that is read where the rest of the table follows from it.
     */
    private ObjectNode llama3() throws IOException {
        Gguf.Tensor tensor = model.tensors().get(GgufFamily.ROPE_FACTORS);
        int count = model.headDim() / 2;
        if (tensor == null || tensor.type() != 0 || !tensor.shape().equals(List.of((long) count))) {
            throw refused("its " + GgufFamily.ROPE_FACTORS + " is not a table of " + count + " floats");
        }
        ByteBuffer bytes = store.read(tensor.file(), tensor.offset(), 4 * count);
        float[] divisors = HalfFloats.toFloats(bytes, DType.F32, count);
        double factor = divisors[count - 1];
        double base = decimal("rope.freq_base", 10000.0);
        for (int i = 0; i < count; i++) {
            double length = 2 * Math.PI * Math.pow(base, 2.0 * i / model.headDim());
            double expected = divisor(length, factor);
            if (Math.abs(divisors[i] - expected) > 1e-3 * expected) {
                return table(divisors);
            }
        }
        ObjectNode scaling = JsonNodeFactory.instance.objectNode();
        scaling.put("rope_type", "llama3");
        scaling.put("factor", factor);
        scaling.put("low_freq_factor", LOW);
        scaling.put("high_freq_factor", HIGH);
        scaling.put("original_max_position_embeddings", (int) ORIGINAL);
        return scaling;
    }

    /** What frequencies are divided by at every length, in the spelling that configs have for such tables. */
    private static ObjectNode table(float[] divisors) {
        ObjectNode scaling = JsonNodeFactory.instance.objectNode();
        scaling.put("rope_type", "longrope").put("attention_factor", 1.0);
        for (String list : List.of("short_factor", "long_factor")) {
            ArrayNode factors = scaling.putArray(list);
            for (float divisor : divisors) {
                factors.add(divisor);
            }
        }
        return scaling;
    }

    /** What a frequency of this wave length is divided by. */
    private static double divisor(double length, double factor) {
        if (length < ORIGINAL / HIGH) {
            return 1;
        }
        if (length > ORIGINAL / LOW) {
            return factor;
        }
        double smooth = (ORIGINAL / length - LOW) / (HIGH - LOW);
        return 1 / ((1 - smooth) / factor + smooth);
    }

    private QuernException refused(String reason) {
        return new QuernException(
                "Cannot open the model " + model.file() + ": " + reason + " (put the model's config.json beside it)");
    }
}
