package quern.format;

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

    private static String escaped(String name) {
        return name.replaceAll("[^A-Za-z0-9_]", "\\\\$0");
    }
}
