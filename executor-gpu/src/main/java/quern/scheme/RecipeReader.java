package quern.scheme;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import quern.QuernException;

/**
 * Recipes from YAML. A key that is left away has the value of {@link Recipe#OPEN}; an unknown key or a value of another
 * type is refused.
 */
public final class RecipeReader {
    /** The recipes that travel in the jar, from {@code conf/recipes}. */
    private static final List<String> NAMES = List.of(
            "classic",
            "compressed-tensors-w4a16",
            "compressed-tensors-w4a16-asym",
            "compressed-tensors-w8a16",
            "gptq-w2",
            "gptq-w3",
            "gptq-w4-w8",
            "gptq-w4a16-g128",
            "gptq-w4a16-g32",
            "gptq-w8a16",
            "rtn-w4",
            "ternary");

    private static final List<String> KEYS = List.of(
            "method",
            "format",
            "bits",
            "group-size",
            "symmetric",
            "ternary",
            "act-order",
            "scales",
            "percdamp",
            "true-sequential",
            "skip",
            "overrides",
            "activations",
            "kv-cache",
            "transform");

    private static final List<String> OVERRIDE_KEYS = List.of("match", "bits", "group-size");

    private static final ObjectMapper YAML = YAMLMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private final JsonNode yaml;
    private final String origin;

    private RecipeReader(JsonNode yaml, String origin) {
        this.yaml = yaml;
        this.origin = origin;
    }

    /** The names of the recipes in the jar. */
    public static List<String> names() {
        return NAMES;
    }

    /** A recipe of the jar. */
    public static Recipe named(String name) {
        if (!NAMES.contains(name)) {
            throw new QuernException("Cannot use recipe " + name + ": it is unknown (use one of "
                    + String.join(", ", NAMES) + ", or a file ending in .yaml)");
        }
        try (InputStream in = RecipeReader.class.getResourceAsStream("/quern/recipes/" + name + ".yaml")) {
            if (in == null) {
                throw new IllegalStateException("This build of Quern lacks the recipe " + name);
            }
            return read(new String(in.readAllBytes(), StandardCharsets.UTF_8), "recipe " + name);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * @param text YAML
     * @param origin where it is from, for messages
     */
    public static Recipe read(String text, String origin) {
        JsonNode yaml;
        try {
            yaml = YAML.readTree(text);
        } catch (JacksonException e) {
            String where =
                    e.getLocation() == null ? "" : " at line " + e.getLocation().getLineNr();
            throw new QuernException(
                    "Cannot read " + origin + ": it is not YAML" + where + ", "
                            + e.getOriginalMessage().lines().findFirst().orElse("")
                            + " (compare it with a file of conf/recipes)",
                    e);
        }
        if (yaml.isMissingNode() || yaml.isNull()) { // an empty file asks for the defaults
            return Recipe.OPEN;
        }
        if (!yaml.isObject()) {
            throw new QuernException("Cannot read " + origin + ": it is not a list of keys and values (write lines like"
                    + " \"bits: 4\")");
        }
        return new RecipeReader(yaml, origin).recipe();
    }

    private Recipe recipe() {
        for (var entry : yaml.properties()) {
            if (!KEYS.contains(entry.getKey())) {
                throw new QuernException("Cannot read " + origin + ": " + entry.getKey()
                        + " is not a key of a recipe (the" + " keys are " + String.join(", ", KEYS) + ")");
            }
        }
        Recipe d = Recipe.OPEN;
        try {
            return new Recipe(
                    text("method", d.method()),
                    text("format", d.format()),
                    integer("bits", d.bits()),
                    integer("group-size", d.groupSize()),
                    bool("symmetric", d.symmetric()),
                    bool("ternary", d.ternary()),
                    choice("act-order", ColumnOrder.values(), d.actOrder()),
                    choice("scales", ScaleRule.values(), d.scales()),
                    number("percdamp", d.percdamp()),
                    bool("true-sequential", d.trueSequential()),
                    texts("skip", d.skip()),
                    overrides(),
                    new FixedScales(
                            said("activations", "dynamic", "static", d.fixed().inputs()),
                            said("kv-cache", "none", "fp8", d.fixed().cache())),
                    text("transform", d.transform()));
        } catch (QuernException e) {
            String sentence = String.valueOf(e.getMessage());
            throw sentence.contains(origin) ? e : new QuernException("Cannot read " + origin + ": " + sentence, e);
        }
    }

    private String text(String key, String otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        return value.isTextual() ? value.textValue() : refuse(key, value, "a word");
    }

    private int integer(String key, int otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        return value.isInt() ? value.intValue() : refuse(key, value, "a whole number");
    }

    private double number(String key, double otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        return value.isNumber() ? value.doubleValue() : refuse(key, value, "a number");
    }

    private boolean bool(String key, boolean otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        return value.isBoolean() ? value.booleanValue() : refuse(key, value, "true or false");
    }

    /** Whether it is the second of two words. */
    private boolean said(String key, String first, String second, boolean otherwise) {
        String value = text(key, otherwise ? second : first);
        if (!value.equals(first) && !value.equals(second)) {
            return refuse(key, yaml.path(key), first + " or " + second);
        }
        return value.equals(second);
    }

    private <E extends Enum<E>> E choice(String key, E[] values, E otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        // YAML 1.1 reads a bare off as false, and act-order has the value off.
        String said = value.isBoolean() && !value.booleanValue() ? "off" : value.asText();
        for (E each : values) {
            if (each.name().toLowerCase(Locale.ROOT).equals(said)) {
                return each;
            }
        }
        return refuse(
                key,
                value,
                Arrays.stream(values)
                        .map(v -> v.name().toLowerCase(Locale.ROOT))
                        .collect(Collectors.joining(" or ")));
    }

    private List<String> texts(String key, List<String> otherwise) {
        JsonNode value = yaml.get(key);
        if (value == null) {
            return otherwise;
        }
        List<String> texts = new ArrayList<>();
        for (JsonNode each : value.isArray() ? value : YAML.createArrayNode().add(value)) {
            texts.add(
                    each.isTextual() ? each.textValue() : refuse(key, each, "a regular expression, or a list of them"));
        }
        return texts;
    }

    private List<Recipe.LinearOverride> overrides() {
        JsonNode value = yaml.get("overrides");
        List<Recipe.LinearOverride> overrides = new ArrayList<>();
        for (JsonNode each : value == null ? YAML.createArrayNode() : value) {
            if (!value.isArray() || !each.isObject() || !each.path("match").isTextual()) {
                return refuse(
                        "overrides",
                        value,
                        "a list of entries with match, a regular expression, and bits or group-size");
            }
            for (var entry : each.properties()) {
                if (!OVERRIDE_KEYS.contains(entry.getKey())) {
                    throw new QuernException("Cannot read %s: %s is not a key of an override (the keys are %s)"
                            .formatted(origin, entry.getKey(), String.join(", ", OVERRIDE_KEYS)));
                }
            }
            RecipeReader reader = new RecipeReader(each, origin);
            overrides.add(new Recipe.LinearOverride(
                    each.path("match").textValue(),
                    reader.integer("bits", Recipe.UNSAID),
                    reader.integer("group-size", Recipe.UNSAID)));
        }
        return overrides;
    }

    private <T> T refuse(String key, JsonNode value, String expected) {
        throw new QuernException(
                "Cannot read " + origin + ": " + key + " is " + value + " (it must be " + expected + ")");
    }
}
