package quern.model;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import quern.QuernException;

/** The registry of model families: one line each. */
public final class Architectures {
    private static final List<String> FAMILIES = List.of("exaone4", "llama", "mistral", "qwen2", "qwen3", "smollm3");

    private static final Map<String, Architecture> BY_TYPE = load();

    private Architectures() {}

    private static Map<String, Architecture> load() {
        Map<String, Architecture> byType = new TreeMap<>();
        for (String family : FAMILIES) {
            Architecture architecture = Architecture.load(family);
            for (String type : architecture.modelTypes()) {
                if (byType.put(type, architecture) != null) {
                    throw new IllegalArgumentException(architecture.file() + ": '" + type + "' is in two files");
                }
            }
        }
        return byType;
    }

    /** The known {@code model_type}s, sorted. */
    public static List<String> modelTypes() {
        return List.copyOf(BY_TYPE.keySet());
    }

    static Architecture of(Fields config) {
        String type = config.text("model_type");
        Architecture architecture = BY_TYPE.get(type);
        if (architecture != null) {
            return architecture;
        }
        String shown = "'" + Fields.abbreviated(type) + "'";
        if (config.has("auto_map")) {
            throw new QuernException("Cannot open the model " + config.location() + ": its model_type " + shown
                    + " needs custom code, which is never run (use a model of a type that is known: "
                    + String.join(", ", modelTypes()) + ")");
        }
        String nearest = modelTypes().stream()
                .min(Comparator.comparingInt(known -> distance(known, type)))
                .orElseThrow();
        throw new QuernException("Cannot open the model " + config.location() + ": its model_type " + shown
                + " is not known (known are " + String.join(", ", modelTypes()) + "; nearest is " + nearest + ")");
    }

    /** Levenshtein distance; of a long text only its beginning. */
    private static int distance(String a, String text) {
        String b = text.substring(0, Math.min(text.length(), 64));
        int[] row = new int[b.length() + 1];
        for (int j = 0; j <= b.length(); j++) {
            row[j] = j;
        }
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}
