package quern.interop;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A checkpoint to be loaded by one program.
 *
 * @param reference a dense checkpoint with its tokens, or a file of logits
 * @param broken whether one of its scales was negated, so that the comparison must fail
 */
record LoadCase(String name, Loader loader, Path checkpoint, Reference reference, boolean broken) {
    private static final ObjectMapper JSON = new ObjectMapper();

    /**
     * The programs, the type they compute in, and how far their logits may be from float32 ones for that reason; further with experts,
     * which transformers unpacks to bfloat16: its roundings may also send a token to another one.
     */
    enum Loader {
        TRANSFORMERS("main", "transformers", "float32", 0.002),
        TRANSFORMERS_EXPERTS("main", "transformers", "float32", 0.06),
        TRANSFORMERS_DEQUANTIZED("main", "transformers, dequantized", "bfloat16", 0.06),
        TRANSFORMERS_BF16("main", "transformers", "bfloat16", 0.015),
        /** Inputs of linears are quantized too, when the model runs. */
        TRANSFORMERS_ACTIVATIONS("main", "transformers", "bfloat16", 0.1),
        TRANSFORMERS_GGUF("main", "transformers, gguf", "float32", 0.002),
        /** Inputs of linears are quantized to 8 bits. */
        LLAMA_CPP("main", "llama.cpp", "float32", 0.04),
        /** For which a token may go to another expert. */
        LLAMA_CPP_EXPERTS("main", "llama.cpp", "float32", 0.2),
        HQQ("main", "hqq", "float32", 0.002),
        QUANTO("main", "optimum-quanto", "float32", 0.015),
        /** No program, but what the format's documentation says of the tensors: its loaders need a GPU. */
        DOCUMENTED("main", "as documented", "float32", 1e-5),
        GPTQMODEL("main", "gptqmodel", "float16", 0.005),
        GPTQMODEL_EXPERTS("main", "gptqmodel", "float16", 0.06),
        COMPRESSED_TENSORS("main", "compressed-tensors", "float32", 1e-5),
        /** With the matrix units of AMX its products give 0.027 on checkpoints of other tools, without them 0.015. */
        VLLM("vllm", "vllm", "bfloat16", 0.04),
        VLLM_ACTIVATIONS("vllm", "vllm", "bfloat16", 0.1);

        final String environment;
        final String program;
        final String dtype;
        final double tolerance;

        Loader(String environment, String program, String dtype, double tolerance) {
            this.environment = environment;
            this.program = program;
            this.dtype = dtype;
            this.tolerance = tolerance;
        }
    }

    sealed interface Reference {
        record Dense(Path folder, int[][] tokens) implements Reference {}

        /** Tensors {@code input_ids} and {@code logits}. */
        record Logits(Path file) implements Reference {}
    }

    /** Runs the cases of one environment in one process, and returns the results by name. */
    static Map<String, JsonNode> load(String environment, List<LoadCase> cases, Path folder) {
        try {
            return results(environment, cases, folder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while checkpoints were loaded", e);
        }
    }

    private static Map<String, JsonNode> results(String environment, List<LoadCase> cases, Path folder)
            throws IOException, InterruptedException {
        List<Map<String, Object>> written = new ArrayList<>();
        for (LoadCase each : cases) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("name", each.name);
            fields.put("loader", each.loader.program);
            fields.put("dtype", each.loader.dtype);
            fields.put("checkpoint", each.checkpoint.toString());
            if (each.reference instanceof Reference.Dense dense) {
                fields.put("dense", dense.folder().toString());
                fields.put("tokens", dense.tokens());
            } else if (each.reference instanceof Reference.Logits logits) {
                fields.put("logits", logits.file().toString());
            }
            written.add(fields);
        }
        Files.createDirectories(folder);
        Path asked = folder.resolve("cases-" + environment + ".json");
        Path answered = folder.resolve("results-" + environment + ".jsonl");
        JSON.writerWithDefaultPrettyPrinter().writeValue(asked.toFile(), written);
        Python.environment(environment)
                .run(
                        Python.program("load_cases.py"),
                        List.of(asked.toString(), answered.toString()),
                        folder.resolve("log-" + environment + ".txt"));
        Map<String, JsonNode> results = new LinkedHashMap<>();
        for (String line : Files.readAllLines(answered)) {
            JsonNode result = JSON.readTree(line);
            results.put(result.get("name").asText(), result);
        }
        return results;
    }
}
