package quern.format;

import java.util.List;
import quern.QuernException;

/** Names of modules that stay as they are, in the regular expressions of the loaders, which are Python's. */
public final class KeptModules {
    private static final String ALL_OF = ".*";

    private KeptModules() {}

    /** Whether it stands for all that is in a module of this name: {@code vision_tower.*}. */
    public static boolean isWhole(String kept) {
        return kept.endsWith(ALL_OF);
    }

    /**
     * Matches the full names of such modules from their beginning; a module that is kept whole may be in one whose name the loader
     * chooses.
     */
    public static String regex(String kept) {
        if (!isWhole(kept)) {
            return escaped(kept);
        }
        return "(.*\\.)?" + escaped(kept.substring(0, kept.length() - ALL_OF.length())) + "\\..*";
    }

    /**
     * For loaders that keep a module whose name has one of these in it: refused where that is a quantized one.
     *
     * @param format for the message
     */
    public static List<String> parts(List<String> kept, List<String> quantized, String format) {
        List<String> parts = kept.stream()
                .map(name -> isWhole(name) ? name.substring(0, name.length() - ALL_OF.length()) : name)
                .toList();
        for (String part : parts) {
            quantized.stream().filter(name -> name.contains(part)).findFirst().ifPresent(name -> {
                throw new QuernException(
                        ("Cannot write %s in format %s: its loaders would take %s, whose name begins alike, "
                                        + "for a linear that is kept too (use format compressed-tensors, or skip both)")
                                .formatted(part, format, name));
            });
        }
        return parts;
    }

    private static String escaped(String name) {
        return name.replaceAll("[^A-Za-z0-9_]", "\\\\$0");
    }
}
