package quern.report;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;

/** How to load a checkpoint in the programs that people use; the interop tests run what stands here. */
public final class LoadGuide {
    private LoadGuide() {}

    /**
     * @param install what to install
     * @param code what to run; none if the program does not read this checkpoint
     * @param remark what to know, or why there is no code; may be empty
     */
    public record Program(
            String name, String install, @Nullable String code, String remark) {}

    /**
     * @param recipe how the checkpoint was made
     * @param output where it stands
     */
    public static List<Program> of(Recipe recipe, String output) {
        String path = output.replaceFirst("^file:/+", "/").replace("\\", "\\\\").replace("\"", "\\\"");
        return recipe.format().startsWith("compressed-tensors") ? compressed(recipe, path) : gptq(recipe, path);
    }

    private static List<Program> gptq(Recipe recipe, String path) {
        return List.of(
                new Program(
                        "transformers",
                        "pip install transformers gptqmodel optimum accelerate",
                        transformers(path),
                        ""),
                new Program("GPTQModel", "pip install gptqmodel", """
                        from gptqmodel import GPTQModel

                        model = GPTQModel.load("%s")
                        print(model.tokenizer.decode(model.generate("Once upon a time")[0]))
                        """.formatted(path), ""),
                vllm(vllmRefusesGptq(recipe), path));
    }

    private static List<Program> compressed(Recipe recipe, String path) {
        String indexed =
                "Full act-order is read by compressed-tensors up to 0.18 only; --act-order static needs no index.";
        boolean full = recipe.actOrder() == ColumnOrder.FULL;
        return List.of(
                new Program(
                        "transformers",
                        "pip install transformers compressed-tensors accelerate",
                        full ? null : transformers(path),
                        full ? indexed : ""),
                vllm(
                        full
                                ? indexed
                                : recipe.bits() == 4 || recipe.bits() == 8
                                        ? null
                                        : "vLLM reads 4 and 8 bits in this format, not " + recipe.bits() + ".",
                        path),
                new Program("GPTQModel", "", null, "It reads the gptq format; quantize with --format gptq to use it."));
    }

    private static Program vllm(@Nullable String refusal, String path) {
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
                refusal == null ? "As a server: vllm serve \"" + path + "\"" : refusal);
    }

    private static @Nullable String vllmRefusesGptq(Recipe recipe) {
        if (!recipe.symmetric()) {
            return "vLLM reads symmetric codes only in this format; --format compressed-tensors carries asymmetric ones.";
        }
        if (recipe.actOrder() == ColumnOrder.FULL) {
            return "vLLM no longer reads full act-order; --act-order static is as good and needs no g_idx.";
        }
        if (recipe.bits() != 4 && recipe.bits() != 8) {
            return "vLLM reads 4 and 8 bits in this format, not " + recipe.bits() + ".";
        }
        return null;
    }

    private static String transformers(String path) {
        return """
               from transformers import AutoModelForCausalLM, AutoTokenizer

               path = "%s"
               model = AutoModelForCausalLM.from_pretrained(path, device_map="auto")
               tokenizer = AutoTokenizer.from_pretrained(path)
               inputs = tokenizer("Once upon a time", return_tensors="pt").to(model.device)
               print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))
               """.formatted(path);
    }
}
