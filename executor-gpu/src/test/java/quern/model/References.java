package quern.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import quern.store.Checkpoint;
import quern.store.MemoryStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/** A folder with a tiny model and what its forward pass must give: {@code reference.json}, {@code reference.safetensors}. */
public record References(String name, Path folder, JsonNode facts, Checkpoint tensors) {
    /** Ours, and those of the folder that {@code quern.architectures} names, where it is there. */
    public static List<References> all() {
        Path more = Path.of(System.getProperty("quern.architectures", "../../shared/data/architectures"));
        return Stream.concat(own().stream(), Files.isDirectory(more) ? in(more).stream() : Stream.of())
                .toList();
    }

    /** Those of this repository, which {@code src/test/python/references.py} made. */
    public static List<References> own() {
        try {
            return in(Path.of(References.class.getResource("/architectures").toURI()));
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<References> in(Path root) {
        try (Stream<Path> folders = Files.list(root)) {
            return folders.filter(f -> Files.exists(f.resolve("reference.json")))
                    .sorted()
                    .map(References::read)
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static References read(Path folder) {
        try {
            JsonNode facts =
                    new ObjectMapper().readTree(folder.resolve("reference.json").toFile());
            MemoryStore store = new MemoryStore()
                    .put("model.safetensors", Files.readAllBytes(folder.resolve("reference.safetensors")));
            return new References(folder.getFileName().toString(), folder, facts, Checkpoint.open(store));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public String modelType() {
        return facts.get("model_type").asText();
    }

    public List<String> configs() {
        return texts(facts.get("configs"));
    }

    static List<String> texts(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false)
                .map(JsonNode::asText)
                .toList();
    }

    /** The model with this file for its config.json. */
    public MemoryStore model(String config) throws IOException {
        return Models.copy(folder).put("config.json", Files.readAllBytes(folder.resolve(config)));
    }

    int sequences() {
        return facts.get("lengths").size();
    }

    public int[] tokens(int sequence) throws IOException {
        String name = sequence + ".input_ids";
        int[] ids = new int[(int) tensors.spec(name).elements()];
        var bytes = tensors.read(name);
        for (int i = 0; i < ids.length; i++) {
            ids[i] = (int) bytes.getLong(8 * i);
        }
        return ids;
    }

    Matrix matrix(String name) throws IOException {
        TensorSpec spec = tensors.spec(name);
        int rows = Math.toIntExact(spec.shape().get(0));
        int cols = Math.toIntExact(spec.shape().get(1));
        return new Matrix(rows, cols, HalfFloats.toFloats(tensors.read(name), DType.F32, rows * cols));
    }

    /** How many sites of a layer any token of the tapped sequence came to. */
    int reached(int layer) {
        return (int)
                StreamSupport.stream(facts.get("sites").get(layer).get("sites").spliterator(), false)
                        .filter(site -> !site.get("linears").isEmpty())
                        .filter(site -> site.path("rows").asInt(1) > 0)
                        .count();
    }

    /** tokens x experts: what the outputs of the chosen experts weigh, 0 for others. */
    Matrix routing(int sequence, String router, int experts) throws IOException {
        Matrix weights = matrix(sequence + "." + router + ".weights");
        var chosen = tensors.read(sequence + "." + router + ".experts");
        Matrix routing = Matrix.zeros(weights.rows(), experts);
        for (int i = 0; i < weights.values().length; i++) {
            int expert = (int) chosen.getLong(8 * i);
            routing.values()[i / weights.cols() * experts + expert] = weights.values()[i];
        }
        return routing;
    }

    /** The sites of a layer: for each the key of its input, then its linears. */
    List<List<String>> sites(int layer) {
        List<List<String>> sites = new ArrayList<>();
        for (JsonNode site : facts.get("sites").get(layer).get("sites")) {
            if (site.get("linears").isEmpty()) {
                continue; // what is kept, and has an input of its own
            }
            List<String> names = new ArrayList<>(List.of(site.get("input").asText()));
            names.addAll(texts(site.get("linears")));
            sites.add(names);
        }
        return sites;
    }
}
