package quern.model;

import java.io.IOException;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quern.QuernException;
import quern.store.BlobStore;
import quern.store.Checkpoint;

/** The registry of model families: one line each. */
public final class Architectures {
    private static final List<String> FAMILIES = List.of(
            "bloom",
            "cohere",
            "cohere2",
            "deepseek_v3",
            "exaone4",
            "falcon",
            "gemma2",
            "gemma3_text",
            "glm4",
            "gpt2",
            "gpt_neox",
            "gpt_oss",
            "granite",
            "llama",
            "mistral",
            "mixtral",
            "olmo2",
            "opt",
            "phi",
            "phi3",
            "qwen2",
            "qwen2_moe",
            "qwen3",
            "qwen3_moe",
            "smollm3",
            "stablelm",
            "starcoder2");

    private static final Pattern IN_LAYER = Pattern.compile(".*?\\.\\d+\\.(.*)\\.weight");

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

    /** One for each file. */
    static List<Architecture> all() {
        return BY_TYPE.values().stream().distinct().toList();
    }

    /** @param store with the tensors, whose names tell which family one that is not known resembles */
    static Architecture of(Fields config, BlobStore store) {
        String type = config.text("model_type");
        Architecture architecture = BY_TYPE.get(type);
        if (architecture != null) {
            return architecture;
        }
        String shown = "'" + Fields.abbreviated(type) + "'";
        if (config.has("auto_map")) {
            throw new QuernException("Cannot open the model " + config.location() + ": its model_type " + shown
                    + " needs custom code, which is never run (use a model of a type that is known: "
                    + String.join(", ", FAMILIES) + ")");
        }
        throw new QuernException("Cannot open the model " + config.location() + ": its model_type " + shown
                + " is not known, nearest is " + nearest(type, store) + " (known are "
                + String.join(", ", FAMILIES) + "; CONTRIBUTING.md tells how to add one)");
    }

    /** By the names of its tensors where there are any, else by its own. */
    private static String nearest(String type, BlobStore store) {
        Set<String> modules = modules(store);
        return BY_TYPE.entrySet().stream()
                .max(Comparator.<Map.Entry<String, Architecture>>comparingDouble(
                                known -> resemblance(known.getValue().modules(), modules))
                        .thenComparing(known -> -distance(known.getKey(), type)))
                .orElseThrow()
                .getKey();
    }

    /** How much of two sets is in both. */
    private static double resemblance(Set<String> a, Set<String> b) {
        Set<String> both = new TreeSet<>(a);
        both.retainAll(b);
        return (double) both.size() / Math.max(1, a.size() + b.size() - both.size());
    }

    /** The names of the modules within a layer; none where the tensors cannot be read. */
    private static Set<String> modules(BlobStore store) {
        Set<String> modules = new TreeSet<>();
        try {
            for (String name : Checkpoint.open(store).names()) {
                Matcher weight = IN_LAYER.matcher(name);
                if (weight.matches()) {
                    modules.add(weight.group(1));
                }
            }
        } catch (IOException | QuernException e) {
            // What is wrong with the tensors is not what is told here.
            return Set.of();
        }
        return modules;
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
