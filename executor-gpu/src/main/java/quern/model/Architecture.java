package quern.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A model family as data: one file {@code quern/architectures/<family>.yaml}. See the package documentation for what its
 * fields mean.
 */
public final class Architecture {
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory());

    private final String file;
    private final Content content;
    private final Program program;

    /** The fields of the file; one that is not here is refused by the reader. */
    record Content(
            @JsonProperty(value = "model_types", required = true)
            List<String> modelTypes,

            @JsonProperty(required = true) Names names,
            @Nullable Map<String, JsonNode> defaults,
            @Nullable Norm norm,
            @Nullable Sliding sliding,
            @Nullable Rotary rotary,
            @Nullable Map<String, JsonNode> biases,
            @JsonProperty(required = true) String layer) {}

    /** Module names; {@code {layer}} stands for the layer's number. */
    record Names(
            @JsonProperty(required = true) String embedding,
            @JsonProperty(required = true) String layer,
            @JsonProperty(required = true) String norm,
            @JsonProperty(required = true) String head) {}

    /** @param offset 1 where stored norm weights are offsets from one */
    record Norm(float offset) {}

    /**
     * Which layers have a window, where {@code layer_types} does not say it.
     *
     * @param size the key of the window's size
     * @param condition a key that must be true, or none
     * @param from the key of the first layer that slides
     * @param pattern the key of a number n: all slide but each nth. With neither, all slide
     */
    record Sliding(
            @JsonProperty(required = true) String size,
            @JsonProperty("if") @Nullable String condition,
            @Nullable String from,
            @Nullable String pattern) {}

    /**
     * Which layers have rotary positions; all of them where this is left out.
     *
     * @param flags the key of a list with 1 for each layer that has them, 0 for each that has not
     * @param interval where that list is absent, the key of a number n: all have them but each nth
     * @param onlySliding where some layers slide, only these have them
     */
    record Rotary(
            @Nullable String flags,
            @Nullable String interval,
            @JsonProperty("only_sliding") boolean onlySliding) {}

    private Architecture(String file, Content content, Program program) {
        this.file = file;
        this.content = content;
        this.program = program;
    }

    /** Reads the resource of this family. */
    static Architecture load(String family) {
        String file = family + ".yaml";
        try (InputStream in = Architecture.class.getResourceAsStream("/quern/architectures/" + file)) {
            if (in == null) {
                throw new IllegalArgumentException("There is no resource quern/architectures/" + file);
            }
            return parse(file, new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A mistake in the text is an {@link IllegalArgumentException} that names the file and the line. */
    static Architecture parse(String file, String text) {
        Content content;
        try {
            content = YAML.readValue(text, Content.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    file + ":" + (e.getLocation() == null ? 1 : e.getLocation().getLineNr()) + ": "
                            + e.getOriginalMessage(),
                    e);
        }
        // A literal block begins on the line after its key and keeps its lines.
        int key = text.lines().map(line -> line.startsWith("layer:")).toList().indexOf(true);
        return new Architecture(file, content, Program.parse(file, key + 2, content.layer()));
    }

    /** The file it was read from. */
    public String file() {
        return file;
    }

    /** The {@code model_type}s it describes. */
    public List<String> modelTypes() {
        return content.modelTypes();
    }

    Names names() {
        return content.names();
    }

    Map<String, JsonNode> defaults() {
        return content.defaults() == null ? Map.of() : content.defaults();
    }

    float normOffset() {
        return content.norm() == null ? 0 : content.norm().offset();
    }

    @Nullable
    Sliding sliding() {
        return content.sliding();
    }

    @Nullable
    Rotary rotary() {
        return content.rotary();
    }

    Program program() {
        return program;
    }

    /** The full name of a module of a layer. */
    String inLayer(int layer, String module) {
        return content.names().layer().replace("{layer}", Integer.toString(layer)) + "." + module;
    }

    /** Whether this linear has a bias, by the longest prefix of its name that {@code biases} has. */
    boolean hasBias(String module, Fields config) {
        Map<String, JsonNode> biases = content.biases();
        if (biases == null) {
            return false;
        }
        for (String prefix = module; ; prefix = prefix.substring(0, prefix.lastIndexOf('.'))) {
            JsonNode rule = biases.get(prefix);
            if (rule != null) {
                return rule.isBoolean() ? rule.asBoolean() : config.bool(rule.asText());
            }
            if (prefix.indexOf('.') < 0) {
                return false;
            }
        }
    }
}
