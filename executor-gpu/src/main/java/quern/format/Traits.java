package quern.format;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;

/**
 * What of a checkpoint its readers mind.
 *
 * @param format its format's name
 * @param family its {@code model_type}
 * @param linears those that are quantized
 */
public record Traits(String format, String family, boolean symmetric, ColumnOrder order, List<Linear> linears) {
    /** A program may join the linears of such a set into one, which is quantized or not, and in one way. */
    private static final List<Set<String>> JOINED =
            List.of(Set.of("q_proj", "k_proj", "v_proj"), Set.of("gate_proj", "up_proj"));

    public Traits {
        linears = List.copyOf(linears);
    }

    /** Of what a recipe makes. */
    public Traits(Recipe recipe, String family, List<Linear> linears) {
        this(recipe.format(), family, recipe.symmetric(), recipe.actOrder(), linears);
    }

    /**
     * @param name its full name
     * @param bits of its codes
     * @param groupSize inputs that share a scale; -1 for the whole row
     * @param expert whether it is an expert's
     */
    public record Linear(String name, int inputs, int bits, int groupSize, boolean expert) {}

    boolean experts() {
        return linears.stream().anyMatch(Linear::expert);
    }

    /** Whether some linears have another width or group size. */
    boolean mixed() {
        return bits().size() > 1 || groupSizes().size() > 1;
    }

    Set<Integer> bits() {
        return linears.stream().map(Linear::bits).collect(Collectors.toCollection(TreeSet::new));
    }

    Set<Integer> groupSizes() {
        return linears.stream().map(Linear::groupSize).collect(Collectors.toCollection(TreeSet::new));
    }

    /** The most inputs that share a scale. */
    int longestGroup() {
        return linears.stream()
                .mapToInt(l -> l.groupSize() == -1 ? l.inputs() : l.groupSize())
                .max()
                .orElse(0);
    }

    /** Whether of linears that a program joins some are quantized and others not, or otherwise. */
    boolean dividesJoined() {
        Map<String, Map<String, List<Integer>>> byParent = new HashMap<>();
        for (Linear linear : linears) {
            int dot = linear.name().lastIndexOf('.') + 1;
            byParent.computeIfAbsent(linear.name().substring(0, dot), parent -> new HashMap<>())
                    .put(linear.name().substring(dot), List.of(linear.bits(), linear.groupSize()));
        }
        return byParent.values().stream().anyMatch(all -> JOINED.stream().anyMatch(set -> divides(all, set)));
    }

    private static boolean divides(Map<String, List<Integer>> linears, Set<String> joined) {
        Map<String, List<Integer>> there = new HashMap<>(linears);
        there.keySet().retainAll(joined);
        boolean some = !there.isEmpty() && there.size() < joined.size();
        return some || Set.copyOf(there.values()).size() > 1;
    }
}
