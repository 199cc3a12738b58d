package quern.format;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/**
 * A {@code quantization_config} block, or a part of it, written by some tool: values by key, of the expected kind or refused.
 *
 * @param values as parsed from JSON
 */
public record Settings(Map<String, Object> values) {
    public boolean has(String key) {
        return values.get(key) != null;
    }

    public int integer(String key) {
        if (values.get(key) instanceof Number n && n.doubleValue() == n.intValue()) {
            return n.intValue();
        }
        throw wrong(key, "a whole number");
    }

    /** {@code otherwise} when it is absent or null. */
    public boolean flag(String key, boolean otherwise) {
        Object value = values.get(key);
        if (value == null) {
            return otherwise;
        }
        if (value instanceof Boolean b) {
            return b;
        }
        throw wrong(key, "true or false");
    }

    /** Null when it is absent. */
    @Nullable
    public String text(String key) {
        Object value = values.get(key);
        if (value == null || value instanceof String) {
            return (String) value;
        }
        throw wrong(key, "a string");
    }

    /** Empty when it is absent. */
    public List<String> texts(String key) {
        Object value = values.get(key);
        if (value == null) {
            return List.of();
        }
        if (value instanceof List<?> list && list.stream().allMatch(String.class::isInstance)) {
            return list.stream().map(String.class::cast).toList();
        }
        throw wrong(key, "a list of strings");
    }

    /** Empty when it is absent. */
    @SuppressWarnings("unchecked") // JSON objects have string keys
    public Settings part(String key) {
        Object value = values.get(key);
        if (value == null) {
            return new Settings(Map.of());
        }
        if (value instanceof Map<?, ?> map) {
            return new Settings((Map<String, Object>) map);
        }
        throw wrong(key, "an object");
    }

    private QuernException wrong(String key, String expected) {
        return new QuernException("Cannot read the quantization_config: " + key + " is " + values.get(key) + ", not "
                + expected + " (quantize the model again, or mend its config.json)");
    }
}
