package quern.run;

import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import quern.format.Container;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Model;
import quern.plan.Plan;
import quern.run.shard.ShardTasks;
import quern.store.BlobStore;

/**
 * Turns written shards into a checkpoint: index, auxiliary files, {@code config.json} with its quantization block, and last
 * the marker, {@value #MARKER}. Until the config is there no loader takes the folder for a model.
 */
public final class Publication {
    /** Names every file of the checkpoint with its checksum; written last. */
    public static final String MARKER = "quern.json";

    /** Settings that loaders look for beside the config, and the reports of quantizers. */
    private static final Set<String> OF_A_QUANTIZED_SOURCE = Set.of(
            "quantize_config.json",
            "quant_config.json",
            "quantization_config.json",
            "quant_log.csv",
            "recipe.yaml",
            "report.html",
            "report.json",
            MARKER);

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DefaultPrettyPrinter PRINTER = new DefaultPrettyPrinter()
            .withObjectIndenter(new DefaultIndenter("  ", "\n"))
            .withArrayIndenter(new DefaultIndenter("  ", "\n"));

    private final Plan plan;
    private final Model model;
    private final BlobStore output;

    public Publication(Plan plan, Model model, BlobStore output) {
        this.plan = plan;
        this.model = model;
        this.output = output;
    }

    /**
     * What is done once a loader could read the checkpoint and before it is called done.
     *
     * @param <T> what it finds out
     */
    @FunctionalInterface
    public interface Proof<T> {
        /** @param files takes the names of further files that were written */
        T run(List<String> files) throws IOException;
    }

    /**
     * Makes a checkpoint of the shards. If the proof fails, or the marker cannot be written, {@code config.json} goes again, or the one
     * file that is the model: what is left is no model to any loader.
     *
     * @param facts for the marker
     */
    public <T> T publish(List<ShardTasks.ShardManifest> shards, Map<String, Object> facts, Proof<T> proof)
            throws IOException {
        boolean complete = false;
        try {
            List<String> files = files();
            T found = proof.run(files);
            mark(shards, files, facts);
            complete = true;
            return found;
        } finally {
            if (!complete) {
                output.delete(
                        plan.container() == Container.GGUF
                                ? plan.shards().get(0).file()
                                : "config.json");
            }
        }
    }

    private List<String> files() throws IOException {
        if (plan.container() == Container.GGUF) {
            return licences();
        }
        List<String> written = new ArrayList<>();
        if (plan.shards().size() > 1) {
            Map<String, String> fileOfTensor = new TreeMap<>();
            plan.shards()
                    .forEach(s ->
                            s.tensors().forEach(t -> fileOfTensor.put(t.spec().name(), s.file())));
            long bytes = plan.shards().stream().mapToLong(Plan.Shard::bytes).sum();
            json(
                    "model.safetensors.index.json",
                    // Sorted: the order of Map.of differs from process to process.
                    new TreeMap<>(Map.of("metadata", Map.of("total_size", bytes), "weight_map", fileOfTensor)));
            written.add("model.safetensors.index.json");
        }
        for (String file : model.store().list("")) {
            if (isAuxiliary(file)) {
                output.copy(model.store(), file, file);
                written.add(file);
            }
        }
        Format format = Formats.named(plan.recipe().format());
        List<String> quantized = plan.sites().stream()
                .flatMap(s -> s.linears().stream())
                .map(Plan.LinearPlan::name)
                .toList();
        Map<String, Object> quantization = format.quantizationConfig(plan.recipe(), plan.schemes(), quantized, kept());
        for (Map.Entry<String, Object> side :
                format.sideFiles(quantization, quantized).entrySet()) {
            json(side.getKey(), side.getValue());
            written.add(side.getKey());
        }
        ObjectNode config = sourceConfig();
        config.remove(List.of("quantization_config", "compression_config"));
        if (model.untied()) {
            config.put(Model.TIED, false);
        }
        config.set("quantization_config", JSON.valueToTree(quantization));
        json("config.json", config);
        written.add("config.json");
        return written;
    }

    /** All that belongs beside a file that holds config and tokenizer. */
    private List<String> licences() throws IOException {
        List<String> written = new ArrayList<>();
        for (String file : model.store().list("")) {
            if (isAuxiliary(file) && file.matches("(?i)(licen[cs]e|notice|use_policy)(\\..*)?")) {
                output.copy(model.store(), file, file);
                written.add(file);
            }
        }
        return written;
    }

    /** Linears that loaders would replace if nobody told them. Every one of them knows lm_head. */
    private List<String> kept() {
        List<String> kept =
                new ArrayList<>(plan.kept().stream().map(Plan.Kept::name).toList());
        model.keptOutside().stream().filter(name -> !name.equals("lm_head")).forEach(kept::add);
        return kept;
    }

    /**
     * The source's files that belong beside the weights: tokenizer, generation config, templates, licence, model card. Not what
     * tells of an earlier quantization of it.
     */
    static boolean isAuxiliary(String file) {
        String name = file.substring(file.lastIndexOf('/') + 1);
        boolean weights = name.endsWith(".safetensors")
                || name.endsWith(".safetensors.index.json")
                || name.matches(".*\\.(bin|pt|pth|gguf|h5|msgpack|onnx|ot)(\\.index\\.json)?")
                || name.endsWith(".bin.index.json");
        return !weights
                && !file.contains("/")
                && !name.startsWith(".")
                && !name.equals("config.json")
                && !OF_A_QUANTIZED_SOURCE.contains(name);
    }

    private void mark(List<ShardTasks.ShardManifest> shards, List<String> files, Map<String, Object> facts)
            throws IOException {
        Map<String, Object> marker = new TreeMap<>(facts); // an order that does not depend on the process
        marker.put("run", plan.id());
        if (plan.recipe().transforms()) {
            marker.put("transform", plan.recipe().transform());
        }
        marker.put("deviceType", plan.deviceType());
        marker.put("tokens", plan.calibration().sha256());
        marker.put(
                "shards",
                shards.stream()
                        .sorted(Comparator.comparing(ShardTasks.ShardManifest::file))
                        .toList());
        marker.put("files", files.stream().sorted().toList());
        json(MARKER, marker);
    }

    /** As it stands in the source, unknown fields and their order included. */
    private ObjectNode sourceConfig() throws IOException {
        ByteBuffer bytes = model.store()
                .read("config.json", 0, Math.toIntExact(model.store().length("config.json")));
        byte[] json = new byte[bytes.remaining()];
        bytes.get(json);
        return (ObjectNode) JSON.readTree(json);
    }

    private void json(String file, Object value) throws IOException {
        byte[] bytes = JSON.writer(PRINTER).writeValueAsBytes(value);
        output.write(file, (OutputStream out) -> {
            out.write(bytes);
            out.write('\n');
        });
    }
}
