package quern.format.gguf;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/**
 * What llama.cpp calls a family and its tensors, and what it does to them.
 *
 * @param architecture its {@code general.architecture}
 * @param modelType of the Hugging Face model
 * @param classes its class
 * @param activation the {@code hidden_act} with which llama.cpp runs it
 * @param norm what the config calls the epsilon of its norms: those of {@code rms_norm_eps} are RMSNorm, others LayerNorm
 * @param names of its tensors
 * @param orders of rows, by name within a layer, where it is another
 * @param fixed keys of the config, and the one value with which llama.cpp runs the family: files do not say it
 */
public record GgufFamily(
        String architecture,
        String modelType,
        String classes,
        String activation,
        String norm,
        GgufNames names,
        Map<String, RowOrder> orders,
        Map<String, Object> fixed) {
    private static final String RMS = "rms_norm_eps";
    private static final String ROUTER = "ffn_gate_inp";

    private static final String TIED = "tie_word_embeddings";

    /** However it is computed: llama.cpp has the approximation by tanh for all. */
    private static final String GELU = "gelu";

    private static final GgufNames NEOX = new GgufNames(
            "gpt_neox.layers.",
            Map.of(
                    "token_embd", "gpt_neox.embed_in",
                    "output_norm", "gpt_neox.final_layer_norm",
                    "output", "embed_out"),
            Map.of(
                    "attn_norm", "input_layernorm",
                    "attn_qkv", "attention.query_key_value",
                    "attn_output", "attention.dense",
                    "ffn_norm", "post_attention_layernorm",
                    "ffn_up", "mlp.dense_h_to_4h",
                    "ffn_down", "mlp.dense_4h_to_h"));

    private static final Map<String, String> QWEN_EXPERTS =
            experts("mlp.gate", "mlp.experts.#.", "gate_proj", "up_proj", "down_proj");

    private static final List<GgufFamily> ALL = List.of(
            inPairs("llama", "llama", "LlamaForCausalLM"),
            inPairs("llama", "mistral", "MistralForCausalLM"),
            gated("qwen2", "qwen2", "Qwen2ForCausalLM"),
            gated("qwen3", "qwen3", "Qwen3ForCausalLM"),
            new GgufFamily(
                            "starcoder2",
                            "starcoder2",
                            "Starcoder2ForCausalLM",
                            "gelu_pytorch_tanh",
                            "norm_epsilon",
                            GgufNames.USUAL,
                            Map.of(),
                            Map.of())
                    .with(Map.of("ffn_up", "mlp.c_fc", "ffn_down", "mlp.c_proj")),
            gated("phi3", "phi3", "Phi3ForCausalLM")
                    .with(Map.of("attn_qkv", "self_attn.qkv_proj", "ffn_up", "mlp.gate_up_proj")),
            gemma("gemma2", "gemma2", "Gemma2ForCausalLM"),
            gemma("gemma3", "gemma3_text", "Gemma3ForCausalLM"),
            gated("olmo2", "olmo2", "Olmo2ForCausalLM")
                    .with(Map.of(
                            "post_attention_norm", "post_attention_layernorm",
                            "post_ffw_norm", "post_feedforward_layernorm"))
                    .only(Map.of("attention_bias", false, TIED, false)),
            new GgufFamily(
                            "gptneox",
                            "gpt_neox",
                            "GPTNeoXForCausalLM",
                            GELU,
                            "layer_norm_eps",
                            NEOX,
                            Map.of(),
                            Map.of())
                    .ordered(Map.of("attn_qkv", RowOrder.PARTS))
                    .only(Map.of("attention_bias", true, TIED, false)),
            inPairs("llama", "mixtral", "MixtralForCausalLM")
                    .with(experts("block_sparse_moe.gate", "block_sparse_moe.experts.#.", "w1", "w3", "w2")),
            gated("qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM")
                    .with(QWEN_EXPERTS)
                    .only(Map.of("norm_topk_prob", true)),
            gated("qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM")
                    .with(QWEN_EXPERTS)
                    .with(Map.of(
                            "ffn_gate_inp_shexp", "mlp.shared_expert_gate",
                            "ffn_gate_shexp", "mlp.shared_expert.gate_proj",
                            "ffn_up_shexp", "mlp.shared_expert.up_proj",
                            "ffn_down_shexp", "mlp.shared_expert.down_proj"))
                    .only(Map.of("norm_topk_prob", false, TIED, false)),
            gated("gpt-oss", "gpt_oss", "GptOssForCausalLM")
                    .with(Map.ofEntries(
                            Map.entry("attn_sinks.weight", "self_attn.sinks"),
                            Map.entry("post_attention_norm", "post_attention_layernorm"),
                            Map.entry(ROUTER, "mlp.router"),
                            Map.entry("ffn_gate_exps.weight", "mlp.experts.gate_up_proj"),
                            Map.entry("ffn_gate_exps.bias", "mlp.experts.gate_up_proj_bias"),
                            Map.entry("ffn_up_exps.weight", "mlp.experts.gate_up_proj"),
                            Map.entry("ffn_up_exps.bias", "mlp.experts.gate_up_proj_bias"),
                            Map.entry("ffn_down_exps.weight", "mlp.experts.down_proj"),
                            Map.entry("ffn_down_exps.bias", "mlp.experts.down_proj_bias")))
                    .ordered(Map.of("ffn_gate_exps", RowOrder.EVEN, "ffn_up_exps", RowOrder.ODD))
                    .only(Map.of("attention_bias", true, "swiglu_alpha", 1.702, "swiglu_limit", 7.0, TIED, false)));

    private static GgufFamily gated(String architecture, String modelType, String classes) {
        return new GgufFamily(architecture, modelType, classes, "silu", RMS, GgufNames.USUAL, Map.of(), Map.of());
    }

    private static GgufFamily inPairs(String architecture, String modelType, String classes) {
        return gated(architecture, modelType, classes)
                .ordered(Map.of("attn_q", RowOrder.PAIRS, "attn_k", RowOrder.PAIRS));
    }

    private static GgufFamily gemma(String architecture, String modelType, String classes) {
        return new GgufFamily(
                        architecture, modelType, classes, "gelu_pytorch_tanh", RMS, GgufNames.USUAL, Map.of(), Map.of())
                .with(Map.of(
                        "post_attention_norm", "post_attention_layernorm",
                        "ffn_norm", "pre_feedforward_layernorm",
                        "post_ffw_norm", "post_feedforward_layernorm"));
    }

    private GgufFamily with(Map<String, String> own) {
        return new GgufFamily(architecture, modelType, classes, activation, norm, names.with(own), orders, fixed);
    }

    private GgufFamily ordered(Map<String, RowOrder> other) {
        return new GgufFamily(architecture, modelType, classes, activation, norm, names, other, fixed);
    }

    private GgufFamily only(Map<String, Object> values) {
        return new GgufFamily(architecture, modelType, classes, activation, norm, names, orders, values);
    }

    private static Map<String, String> experts(String router, String expert, String gate, String up, String down) {
        return Map.of(
                ROUTER,
                router,
                "ffn_gate_exps",
                expert + gate,
                "ffn_up_exps",
                expert + up,
                "ffn_down_exps",
                expert + down);
    }

    /** Whether weights of norms are offsets from one in a Hugging Face model, and caps are known to llama.cpp. */
    public boolean isGemma() {
        return architecture.startsWith("gemma");
    }

    /** Whether each second layer has a window, and positions are scaled in a config that says nothing. */
    public boolean isGptOss() {
        return architecture.equals("gpt-oss");
    }

    /** Whether llama.cpp knows of its windows. */
    public boolean hasWindows() {
        return isGemma() || isGptOss();
    }

    /** What the config calls the activation. */
    public String activationKey() {
        return isGemma() ? "hidden_activation" : "hidden_act";
    }

    /** Whether llama.cpp computes what configs call so. */
    public boolean activates(String name) {
        return name.equals(activation)
                || name.equals("swish") && activation.equals("silu")
                || activation.equals(GELU) && name.startsWith(GELU);
    }

    /** What is added to the values of a tensor of a Hugging Face model. */
    public float offset(String tensor) {
        return isGemma() && tensor.endsWith("norm.weight") ? 1 : 0;
    }

    /** Whether layers have experts, of which those of all are one tensor. */
    public boolean hasExperts() {
        return names.inLayer().containsKey(ROUTER + ".weight");
    }

    /** Whether its norms take the mean away. */
    public boolean layerNorm() {
        return !norm.equals(RMS);
    }

    /** What frequencies of rotary positions are divided by. It is generated from the config and stands in it again. */
    public static final String ROPE_FACTORS = "rope_freqs.weight";

    /** The same for sequences up to the original length, and beyond. */
    public static final String SHORT_FACTORS = "rope_factors_short.weight";

    public static final String LONG_FACTORS = "rope_factors_long.weight";

    /** Whether a tensor of this name is generated from the config. */
    public static boolean isGenerated(String tensor) {
        return tensor.equals(ROPE_FACTORS) || tensor.equals(SHORT_FACTORS) || tensor.equals(LONG_FACTORS);
    }

    /**
     * By its {@code general.architecture}; null if its files are not read. Of two the first.
     *
     * @param experts whether the file says how many there are
     */
    public static @Nullable GgufFamily read(String architecture, boolean experts) {
        return ALL.stream()
                .filter(f -> f.architecture().equals(architecture) && f.hasExperts() == experts)
                .findFirst()
                .orElse(null);
    }

    /** The values of {@code general.architecture} that are read. */
    public static List<String> architectures() {
        return ALL.stream().map(GgufFamily::architecture).distinct().sorted().toList();
    }

    /** By the {@code model_type} of a model that is to be written. */
    public static GgufFamily written(String modelType) {
        return ALL.stream()
                .filter(f -> f.modelType().equals(modelType))
                .findFirst()
                .orElseThrow(() -> new QuernException("Cannot write a model of type " + modelType
                        + " as GGUF: that is written of "
                        + ALL.stream().map(GgufFamily::modelType).sorted().collect(Collectors.joining(", "))
                        + " (use another format)"));
    }

    /** The name that the tensor has in a Hugging Face model; null if it has none. Of a stack {@link #slice} has those of its slices. */
    public @Nullable String name(String tensor) {
        return names.name(tensor);
    }

    /** Whether a tensor of this name in a Hugging Face model is a slice of one, for each expert. */
    public static boolean isStack(String name) {
        return name.contains(GgufNames.ANY);
    }

    /** The name of an expert's tensor, of that of all. */
    public static String slice(String name, int expert) {
        return name.replace(GgufNames.ANY, ".experts." + expert + ".");
    }

    /** The names of the tensors that hold one of a Hugging Face model in its files; none if there are none. Experts have one for all. */
    public List<String> there(String tensor) {
        return names.there(tensor);
    }

    /** Whether this tensor of a file is a vector, and a matrix of one row in a Hugging Face model. */
    public static boolean isRow(String tensor) {
        return tensor.endsWith(".ffn_gate_inp_shexp.weight");
    }

    /** In which order the rows of this tensor stand in a file. */
    public RowOrder order(String tensor) {
        return orders.getOrDefault(role(tensor), RowOrder.SAME);
    }

    /** Whether it is pairs of rows that turn together in its files. */
    public boolean turnsPairs() {
        return orders.containsValue(RowOrder.PAIRS);
    }

    /** The name of a tensor of a file within its layer: {@code attn_q}. */
    static String role(String tensor) {
        return tensor.replaceFirst("^blk\\.\\d+\\.", "").replaceFirst("\\.(weight|bias)$", "");
    }
}
