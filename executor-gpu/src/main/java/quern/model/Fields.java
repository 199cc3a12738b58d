package quern.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.file.NoSuchFileException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.store.BlobStore;

/**
 * The fields of a {@code config.json}, which is untrusted input: each is asked for with its type and range, and falls back
 * on the family's default where the file does not have it. A field that is null counts as there.
 */
final class Fields {
    static final String FILE = "config.json";
    private static final int MAX_BYTES = 16 << 20;
    /** Real configs are four deep. */
    private static final int MAX_DEPTH = 64;

    // Python writes NaN and Infinity, which JSON does not have; whoever asks for such a field refuses them.
    private static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_DEPTH)
                            .build())
                    .build())
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /** What counts where it stands outside of the language model's part. */
    private static final List<String> OF_THE_WHOLE =
            List.of("tie_word_embeddings", "dtype", "torch_dtype", "quantization_config");

    private final String location;
    private final JsonNode json;
    /** For a key the names that the family's configs have for it, if not its own. */
    private final Map<String, List<String>> spellings;

    private final Map<String, JsonNode> defaults;
    private final Map<String, JsonNode> derived = new HashMap<>();
    private final Set<String> sizesLeftOut;

    private Fields(
            String location,
            JsonNode json,
            Map<String, List<String>> spellings,
            Map<String, JsonNode> defaults,
            Set<String> sizesLeftOut) {
        this.location = location;
        this.json = json;
        this.spellings = spellings;
        this.defaults = defaults;
        this.sizesLeftOut = sizesLeftOut;
    }

    private Fields(String location, JsonNode json) {
        this(location, json, Map.of(), Map.of(), new TreeSet<>());
    }

    static Fields read(BlobStore store) throws IOException {
        ByteBuffer bytes;
        try {
            long length = store.length(FILE);
            if (length > MAX_BYTES) {
                throw refused(store.location(), "it is " + length + " bytes long", "use a config of a language model");
            }
            bytes = store.read(FILE, 0, (int) length);
        } catch (NoSuchFileException e) {
            throw new QuernException(
                    "Cannot open the model " + store.location()
                            + ": it has no config.json (name the folder of a Hugging Face model)",
                    e);
        }
        try {
            // Of bytes, the parser would guess the encoding.
            JsonNode json = JSON.readTree(UTF_8.newDecoder().decode(bytes).toString());
            if (!json.isObject()) {
                throw refused(store.location(), "it is not a JSON object", "download the model again");
            }
            return new Fields(store.location(), languageModel(json));
        } catch (JsonProcessingException e) {
            throw refused(store.location(), notJson(e), "download the model again");
        } catch (CharacterCodingException e) {
            throw refused(store.location(), "it is not UTF-8", "download the model again");
        }
    }

    /** Where a language model is a part of a larger one (of images, of sound), its config is a part, too. */
    private static JsonNode languageModel(JsonNode json) {
        if (!json.path("text_config").isObject()) {
            return json;
        }
        ObjectNode text = json.get("text_config").deepCopy();
        for (String key : OF_THE_WHOLE) {
            if (json.has(key)) {
                text.set(key, json.get(key));
            }
        }
        if (!text.has("model_type") && json.has("model_type")) {
            text.set("model_type", json.get("model_type"));
        }
        return text;
    }

    private static String notJson(JsonProcessingException e) {
        if (e instanceof StreamConstraintsException || e.getLocation() == null) {
            return "it is nested more than " + MAX_DEPTH + " deep or has values of absurd length";
        }
        return "it is not valid JSON at line " + e.getLocation().getLineNr();
    }

    /** As the family reads them: its names of keys, its defaults, and what follows from other keys. */
    Fields of(Architecture family) {
        Fields fields = new Fields(location, json, family.keys(), family.defaults(), new TreeSet<>());
        family.derived()
                .forEach((key, formulas) -> formulas.stream()
                        .map(formula -> formula.value(fields))
                        .filter(Objects::nonNull)
                        .findFirst()
                        .ifPresent(value -> fields.derived.put(key, value)));
        for (Condition condition : family.refused()) {
            if (condition.holds(fields)) {
                throw refused(
                        location,
                        condition.shown(fields),
                        "models of type " + fields.text("model_type") + " are read without that");
            }
        }
        return fields;
    }

    /** The same fields with this value of a key, whatever the config says of it. */
    Fields with(String key, JsonNode value) {
        Fields fields = new Fields(location, json, spellings, defaults, sizesLeftOut);
        fields.derived.putAll(derived);
        fields.derived.put(key, value);
        return fields;
    }

    /** The same fields where a layer is spoken of: its number, from 0, is the key {@code layer}. */
    Fields inLayer(int layer) {
        return with("layer", IntNode.valueOf(layer));
    }

    String location() {
        return location;
    }

    /** The field, else its default, else null; never a JSON null. */
    @Nullable
    JsonNode find(String key) {
        JsonNode value = derived.get(key);
        if (value == null) {
            String spelled = spelled(key);
            if (json.has(spelled)) {
                value = json.get(spelled);
            } else {
                value = defaults.get(key);
                if (value != null && value.isIntegralNumber()) {
                    sizesLeftOut.add(key);
                }
            }
        }
        return value == null || value.isNull() ? null : value;
    }

    /** Whole numbers that were asked for so far and are the family's, not the config's: a suspicion where shapes don't fit. */
    Set<String> sizesLeftOut() {
        return sizesLeftOut;
    }

    /** The name by which the config has a key; the first of those that it could have where it has none. */
    private String spelled(String key) {
        List<String> names = spellings.getOrDefault(key, List.of(key));
        return names.stream().filter(json::has).findFirst().orElse(names.get(0));
    }

    /** The object of this name as fields of their own, without defaults; empty where it is absent or null. */
    Fields object(String key) {
        JsonNode value = find(key);
        if (value == null) {
            return new Fields(location, JSON.createObjectNode());
        }
        if (!value.isObject()) {
            throw wrong(key, value, "an object");
        }
        return new Fields(location, value);
    }

    boolean has(String key) {
        return find(key) != null;
    }

    /** As plain Java values. */
    @SuppressWarnings("unchecked")
    Map<String, Object> toMap() {
        return JSON.convertValue(json, Map.class);
    }

    int integer(String key, int least, int most) {
        JsonNode value = need(key);
        if (!value.isIntegralNumber() && !(value.isNumber() && value.asDouble() == Math.rint(value.asDouble()))) {
            throw wrong(key, value, "a whole number");
        }
        if (value.asDouble() < least || value.asDouble() > most) {
            throw wrong(key, value, "a number from " + least + " to " + most);
        }
        return value.asInt();
    }

    int integer(String key, int least, int most, int otherwise) {
        return has(key) ? integer(key, least, most) : otherwise;
    }

    /** A finite number above zero. */
    double positive(String key) {
        JsonNode value = need(key);
        if (!value.isNumber() || !Double.isFinite(value.asDouble()) || value.asDouble() <= 0) {
            throw wrong(key, value, "a number above zero");
        }
        return value.asDouble();
    }

    double positive(String key, double otherwise) {
        return has(key) ? positive(key) : otherwise;
    }

    boolean bool(String key) {
        JsonNode value = find(key);
        if (value != null && !value.isBoolean()) {
            throw wrong(key, value, "true or false");
        }
        return value != null && value.asBoolean();
    }

    /** Whether the field is true, or a number other than zero. */
    boolean holds(String key) {
        JsonNode value = find(key);
        if (value == null || value.isBoolean()) {
            return value != null && value.asBoolean();
        }
        if (!value.isNumber()) {
            throw wrong(key, value, "true or false");
        }
        return value.asDouble() != 0;
    }

    /** Whether the field is this text, or this number however it is written. */
    boolean equal(String key, String wanted) {
        JsonNode value = find(key);
        if (value == null) {
            return false;
        }
        String text = value.asText();
        return text.equals(wanted)
                || value.isNumber() && text.replaceFirst("\\.0$", "").equals(wanted.replaceFirst("\\.0$", ""));
    }

    /** A field and its value, for a sentence. */
    String shown(String key) {
        JsonNode value = find(key);
        return "'" + spelled(key) + "' is " + (value == null ? "not there" : abbreviated(value.toString()));
    }

    /** Numbers, as many as {@code count}. */
    double[] numbers(String key, int count) {
        JsonNode value = need(key);
        double[] numbers = new double[count];
        boolean fits = value.isArray() && value.size() == count;
        for (int i = 0; fits && i < count; i++) {
            numbers[i] = value.get(i).asDouble();
            fits = value.get(i).isNumber() && Double.isFinite(numbers[i]) && numbers[i] > 0;
        }
        if (!fits) {
            throw wrong(key, value, "a list of " + count + " numbers above zero");
        }
        return numbers;
    }

    String text(String key) {
        JsonNode value = need(key);
        if (!value.isTextual()) {
            throw wrong(key, value, "a text");
        }
        return value.asText();
    }

    String text(String key, String otherwise) {
        return has(key) ? text(key) : otherwise;
    }

    private JsonNode need(String key) {
        JsonNode value = find(key);
        if (value == null) {
            throw refused(location, "'" + spelled(key) + "' is missing", "add it, or download the model again");
        }
        return value;
    }

    QuernException wrong(String key, JsonNode value, String wanted) {
        return wrong(key, abbreviated(value.toString()), wanted);
    }

    QuernException wrong(String key, String value, String wanted) {
        return refused(location, "'" + spelled(key) + "' is " + value, "it should be " + wanted);
    }

    private static QuernException refused(String location, String reason, String remedy) {
        return new QuernException("Cannot read config.json of " + location + ": " + reason + " (" + remedy + ")");
    }

    /** A value short enough for a sentence, on one line. */
    static String abbreviated(String value) {
        String line = value.replaceAll("\\p{Cntrl}", " ");
        return line.length() <= 60 ? line : line.substring(0, 57) + "...";
    }
}
