package quern.report;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;

/**
 * How to load a checkpoint in the programs that people use. The interop tests load our checkpoints in all of them, and run the
 * code that stands here for transformers and GPTQModel as it is pasted, on a CPU; what is shown for vLLM is not run.
 */
public final class LoadGuide {
    /** vLLM joins the linears of such a set into one, which is quantized or not. */
    private static final List<Set<String>> JOINED =
            List.of(Set.of("q_proj", "k_proj", "v_proj"), Set.of("gate_proj", "up_proj"));

    private static final String JOINED_REFUSED =
            "vLLM joins q, k and v, and gate and up: keep all of them in a layer as they are, or none.";

    /** The kernel that GPTQModel, and so transformers, takes on a CPU knows no larger groups. */
    private static final int LARGEST_CPU_GROUP = 256;

    /** Families whose linears are classes of their own, which transformers 5.22 leaves as they are, random. */
    private static final Map<String, String> NOT_IN_TRANSFORMERS = Map.of("gpt2", "GPT-2", "falcon", "Falcon");

    /** Families of which GPTQModel 7.7 leaves modules as they are: it knows them by other names, or not as dense. */
    private static final Map<String, String> NOT_IN_GPTQMODEL =
            Map.of("mixtral", "Mixtral", "qwen2_moe", "Qwen2-MoE", "gpt_oss", "gpt-oss");

    private final Recipe recipe;
    private final String modelType;
    private final String path;
    private final List<Report.Linear> linears;

    private LoadGuide(Recipe recipe, String modelType, String path, List<Report.Linear> linears) {
        this.recipe = recipe;
        this.modelType = modelType;
        this.path = path;
        this.linears = linears;
    }

    /**
     * @param install what to install
     * @param code what to run; none if the program does not read this checkpoint
     * @param remark what to know, or why there is no code; may be empty
     */
    public record Program(
            String name, String install, @Nullable String code, String remark) {}

    /**
     * @param recipe how the checkpoint was made
     * @param modelType its family
     * @param output where it stands
     * @param linears those that are quantized
     */
    public static List<Program> of(Recipe recipe, String modelType, String output, List<Report.Linear> linears) {
        String path = output.replaceFirst("^file:/+", "/").replace("\\", "\\\\").replace("\"", "\\\"");
        LoadGuide guide = new LoadGuide(recipe, modelType, path, linears);
        return switch (recipe.format()) {
            case "gptq", "gptq_v2" -> guide.gptq();
            case "compressed-tensors" -> guide.compressed();
            case "awq" -> guide.awq();
            case "hqq" -> guide.hqq();
            default -> guide.others();
        };
    }

    private List<Program> awq() {
        return List.of(
                new Program("transformers", "pip install transformers gptqmodel accelerate", transformers(false), ""),
                new Program("GPTQModel", "pip install gptqmodel", """
                        from gptqmodel import GPTQModel

                        model = GPTQModel.load("%s")
                        print(model.tokenizer.decode(model.generate("Once upon a time")[0]))
                        """.formatted(path), ""),
                vllm(dividesJoined() ? JOINED_REFUSED : null, ""));
    }

    private List<Program> hqq() {
        return List.of(
                new Program(
                        "hqq",
                        "pip install hqq transformers",
                        """
                        import glob
                        import torch
                        from hqq.core.quantize import HQQLinear
                        from safetensors.torch import load_file
                        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

                        path = "%s"
                        config = AutoConfig.from_pretrained(path)
                        del config.quantization_config
                        model = AutoModelForCausalLM.from_config(config, dtype=config.dtype)
                        state = {k: v for file in glob.glob(path + "/*.safetensors") for k, v in load_file(file).items()}
                        for name in [k[:-4] for k in state if k.endswith(".W_q")]:
                            linear = HQQLinear(None, None, compute_dtype=config.dtype, device="cpu", initialize=False)
                            linear.load_state_dict({k[len(name) + 1:]: state.pop(k) for k in list(state) if k.startswith(name + ".")})
                            parent, child = name.rsplit(".", 1)
                            setattr(model.get_submodule(parent), child, linear)
                        model.load_state_dict(state, strict=False)
                        model.tie_weights()
                        tokenizer = AutoTokenizer.from_pretrained(path)
                        inputs = tokenizer("Once upon a time", return_tensors="pt")
                        print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
                        """.formatted(path),
                        "The library's linears, one by one."),
                new Program(
                        "transformers",
                        "",
                        null,
                        "transformers (5.22) leaves linears in this format as they are, random, and does not say so."));
    }

    /** Formats of floats, of 8 bits, and of tables of values. */
    private List<Program> others() {
        String format = recipe.format();
        boolean bitsandbytes = format.startsWith("bitsandbytes");
        boolean fourBitFloats = format.endsWith("fp4") && !bitsandbytes;
        String install = bitsandbytes
                ? "pip install transformers bitsandbytes accelerate"
                : format.startsWith("compressed-tensors")
                        ? "pip install transformers compressed-tensors accelerate"
                        : "pip install transformers accelerate";
        String remark =
                fourBitFloats || format.equals("fp8") ? "In bfloat16 only, to which it is unpacked on a CPU." : "";
        return List.of(
                new Program("transformers", install, transformers(false), remark),
                vllm(dividesJoined() ? JOINED_REFUSED : null, "On a GPU; not tried. "));
    }

    private List<Program> gptq() {
        boolean torch = hasLargeGroups();
        String remark = torch ? "The torch kernel: the one that is taken by itself on a CPU knows no whole rows." : "";
        String refused = hasExperts()
                ? "transformers (5.22) leaves experts in this format as they are, random, and does not say so; "
                        + "it reads those of --format compressed-tensors."
                : transformersRefuses("Use GPTQModel.");
        String family = NOT_IN_GPTQMODEL.get(modelType);
        return List.of(
                new Program(
                        "transformers",
                        "pip install transformers gptqmodel optimum accelerate",
                        refused == null ? transformers(torch) : null,
                        refused == null ? remark : refused),
                new Program(
                        "GPTQModel",
                        "pip install gptqmodel",
                        family != null
                                ? null
                                : """
                        from gptqmodel import %sGPTQModel

                        model = GPTQModel.load("%s"%s)
                        print(model.tokenizer.decode(model.generate("Once upon a time")[0]))
                        """.formatted(torch ? "BACKEND, " : "", path, torch ? ", backend=BACKEND.TORCH" : ""),
                        family == null
                                ? remark
                                : "GPTQModel (7.7) does not open all of " + family
                                        + "; quantize with --format compressed-tensors and use transformers."),
                vllm(vllmRefusesGptq(), recipe.bits() == 8 ? "On a CPU it reads 4 bits only. " : ""));
    }

    private List<Program> compressed() {
        String indexed =
                "Full act-order is read by compressed-tensors up to 0.18 only; --act-order static needs no index.";
        boolean full = recipe.actOrder() == ColumnOrder.FULL;
        String refused = hasExperts() && !recipe.symmetric()
                ? "transformers (5.22) does not read zero points of experts; quantize with --sym."
                : transformersRefuses("Quantize with --format gptq and use GPTQModel.");
        return List.of(
                new Program(
                        "transformers",
                        "pip install transformers compressed-tensors accelerate",
                        full || refused != null ? null : transformers(false),
                        refused != null ? refused : full ? indexed : ""),
                vllm(full ? indexed : vllmRefusesAnyFormat(), ""),
                new Program("GPTQModel", "", null, "It reads the gptq format; quantize with --format gptq to use it."));
    }

    private Program vllm(@Nullable String refusal, String remark) {
        String code = refusal == null ? """
                  from vllm import LLM, SamplingParams

                  if __name__ == "__main__":  # its engine is a process of its own that imports this file again
                      llm = LLM("%s")
                      print(llm.generate("Once upon a time", SamplingParams(max_tokens=40))[0].outputs[0].text)
                  """.formatted(path) : null;
        return new Program(
                "vLLM",
                "pip install vllm",
                code,
                refusal == null
                        ? remark + (hasExperts() ? "Not tried with experts. " : "") + "As a server: vllm serve \""
                                + path + "\""
                        : refusal);
    }

    private @Nullable String transformersRefuses(String remedy) {
        String family = NOT_IN_TRANSFORMERS.get(modelType);
        return family == null
                ? null
                : "transformers (5.22) opens quantized checkpoints of " + family + " in neither format. " + remedy;
    }

    private boolean hasExperts() {
        return linears.stream().anyMatch(linear -> linear.expert() >= 0);
    }

    private @Nullable String vllmRefusesGptq() {
        if (!recipe.symmetric()) {
            return "vLLM reads symmetric codes only in this format; --format compressed-tensors carries asymmetric ones.";
        }
        if (recipe.actOrder() == ColumnOrder.FULL) {
            return "vLLM no longer reads full act-order; --act-order static is as good and needs no g_idx.";
        }
        return vllmRefusesAnyFormat();
    }

    private @Nullable String vllmRefusesAnyFormat() {
        if (recipe.bits() != 4 && recipe.bits() != 8) {
            return "vLLM reads 4 and 8 bits in this format, not " + recipe.bits() + ".";
        }
        return dividesJoined() ? JOINED_REFUSED : null;
    }

    private boolean dividesJoined() {
        Map<Integer, Set<String>> quantized = linears.stream()
                .collect(Collectors.groupingBy(
                        Report.Linear::layer,
                        Collectors.mapping(l -> l.name().replaceFirst(".*\\.", ""), Collectors.toSet())));
        return quantized.values().stream()
                .anyMatch(names -> JOINED.stream()
                        .anyMatch(set -> set.stream().anyMatch(names::contains) && !names.containsAll(set)));
    }

    private boolean hasLargeGroups() {
        return recipe.groupSize() > LARGEST_CPU_GROUP
                || recipe.groupSize() == -1 && linears.stream().anyMatch(l -> l.inputs() > LARGEST_CPU_GROUP);
    }

    /** Without a GPU {@code "auto"} would have GPTQModel take a kernel that needs one, so the CPU is named. */
    private String transformers(boolean torch) {
        return """
               import torch
               from transformers import AutoModelForCausalLM, AutoTokenizer%s

               path = "%s"
               device = "auto" if torch.cuda.is_available() else "cpu"
               model = AutoModelForCausalLM.from_pretrained(path, device_map=device%s)
               tokenizer = AutoTokenizer.from_pretrained(path)
               inputs = tokenizer("Once upon a time", return_tensors="pt").to(model.device)
               print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
               """.formatted(
                torch ? ", GPTQConfig" : "",
                path,
                torch
                        ? ",\n    quantization_config=GPTQConfig(bits=%d, backend=\"torch\")".formatted(recipe.bits())
                        : "");
    }
}
