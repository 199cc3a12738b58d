package quern.app;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.ByteCount;
import quern.run.Publication;
import quern.run.Verification;
import quern.scheme.Schemes;
import quern.store.BlobStore;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Says what a checkpoint is, and whether it holds. */
final class Inspection {
    private Inspection() {}

    static List<String> describe(BlobStore store) throws IOException {
        Model model = Model.open(store);
        List<String> lines = new ArrayList<>();
        TensorSource stored = model.source().stored();
        long bytes =
                stored.names().stream().mapToLong(n -> stored.spec(n).bytes()).sum();
        Map<String, Long> types = new TreeMap<>();
        stored.names().forEach(n -> {
            TensorSpec spec = stored.spec(n);
            types.merge(spec.dtype().name(), spec.bytes(), Long::sum);
        });
        line(
                lines,
                "model",
                model.config().modelType() + ", " + model.layers() + " layers, hidden " + model.hiddenSize()
                        + ", vocabulary " + model.vocabulary() + ", " + model.maxPositions() + " positions"
                        + (model.tied() ? ", embedding tied to the head" : ""));
        line(lines, "weights", stored.names().size() + " tensors, " + ByteCount.text(bytes));
        types.forEach((type, size) -> line(lines, "", "%-8s %s".formatted(type, ByteCount.text(size))));
        line(
                lines,
                "quantized",
                model.source().lossy() == null ? "no" : model.source().lossy());
        if (store.exists(Publication.MARKER)) {
            JsonNode marker = marker(store);
            line(
                    lines,
                    "made by",
                    "quern " + marker.path("quern").asText() + ", run "
                            + marker.path("run").asText() + " on "
                            + marker.path("deviceType").asText());
        }
        lines.addAll(ModelDrawing.lines(model));
        return lines;
    }

    /** Promise 6 from the outside: what a loader would need, and the codes against the source if it is given. */
    static List<String> verify(BlobStore store, @Nullable BlobStore source) throws IOException {
        if (!store.exists(Publication.MARKER)) {
            throw new QuernException(
                    "Cannot verify %s: it has no %s, so it is not a finished checkpoint of quern's (give the folder of one)"
                            .formatted(store.location(), Publication.MARKER));
        }
        JsonNode marker = marker(store);
        if (source != null && marker.has("transform")) {
            throw new QuernException(
                    "Cannot compare the weights of %s with those of its source: transform %s changed them first (leave --against away; quern eval --against compares what both compute)"
                            .formatted(
                                    store.location(), marker.path("transform").asText()));
        }
        Map<String, String> sums = new HashMap<>();
        marker.path("shards")
                .forEach(s -> sums.put(s.path("file").asText(), s.path("sha256").asText()));
        List<String> findings = new ArrayList<>(Verification.checksums(store, sums));
        for (JsonNode file : marker.path("files")) {
            if (!store.exists(file.asText())) {
                findings.add(file.asText() + " is missing");
            }
        }
        if (!findings.isEmpty()) {
            return findings;
        }
        Model model = Model.open(store);
        Map<String, Object> quantization = model.config().quantization();
        if (quantization == null && store.list("").stream().anyMatch(file -> file.endsWith(".gguf"))) {
            return values(model, source == null ? null : Model.open(source));
        }
        if (quantization == null) {
            return List.of("config.json has no quantization_config");
        }
        Format format = Formats.of(quantization, model.weightType());
        Schemes schemes = Objects.requireNonNull(format.schemes(quantization, model.weightType()));
        Model original = source == null ? null : Model.open(source);
        for (int layer = 0; layer < model.layers(); layer++) {
            for (Site site : model.sites(layer)) {
                for (Linear linear : site.linears()) {
                    if (!model.source().stored().names().contains(linear.weight())) {
                        findings.addAll(Verification.linear(
                                format,
                                schemes.of(linear.name()),
                                linear,
                                model.source().stored(),
                                original));
                    }
                }
            }
        }
        return findings;
    }

    /** Of a file that says itself in which types its weights are. */
    private static List<String> values(Model written, @Nullable Model original) throws IOException {
        List<String> findings = new ArrayList<>();
        for (int layer = 0; layer < written.layers(); layer++) {
            for (Site site : written.sites(layer)) {
                for (Linear linear : site.linears()) {
                    if (written.source().isPacked(linear.weight())) {
                        long stored = 8 * written.source().storedBytes(linear.weight());
                        findings.addAll(Verification.values(
                                (int) (stored / ((long) linear.outputs() * linear.inputs())),
                                written.weight(linear),
                                linear.name(),
                                original == null ? null : original.weight(original.linear(layer, linear.name()))));
                    }
                }
            }
        }
        return findings;
    }

    static JsonNode marker(BlobStore store) throws IOException {
        ByteBuffer bytes = store.read(Publication.MARKER, 0, Math.toIntExact(store.length(Publication.MARKER)));
        byte[] json = new byte[bytes.remaining()];
        bytes.get(json);
        return new ObjectMapper().readTree(json);
    }

    private static void line(List<String> lines, String key, String value) {
        lines.add("%-10s %s".formatted(key, value));
    }
}
