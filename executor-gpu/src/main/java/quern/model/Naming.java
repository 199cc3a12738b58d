package quern.model;

import java.util.List;
import java.util.Set;

/**
 * How a checkpoint spells the names of its family: some lack the first part, and where the language model is a part of a larger
 * one there is more in front.
 *
 * @param from what the family's names begin with
 * @param to what stands in its place
 * @param outside what stands in front of names that do not begin so
 */
record Naming(String from, String to, String outside) {
    static final Naming PLAIN = new Naming("", "", "");

    /** The first spelling by which the embedding is there; the family's own where it is nowhere. */
    static Naming of(String embedding, Set<String> tensors) {
        int dot = embedding.indexOf('.');
        if (dot < 0) {
            return PLAIN;
        }
        String root = embedding.substring(0, dot + 1);
        return List.of(
                        PLAIN,
                        new Naming(root, "", ""),
                        new Naming(root, "language_model." + root, "language_model."),
                        new Naming(root, root + "language_model.", ""))
                .stream()
                .filter(naming -> tensors.contains(naming.stored(embedding + ".weight")))
                .findFirst()
                .orElse(PLAIN);
    }

    String stored(String name) {
        return name.startsWith(from) ? to + name.substring(from.length()) : outside + name;
    }
}
