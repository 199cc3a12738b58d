package quern.format;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import quern.scheme.ColumnOrder;
import quern.scheme.Scheme;

/**
 * What of a checkpoint its readers mind.
 *
 * @param format its format's name
 * @param family its {@code model_type}
 * @param groupSize inputs that share a scale; -1 for the whole row
 * @param mixed whether some linears have another width or group size
 * @param linears those that are quantized
 */
public record Traits(
        String format,
        String family,
        int bits,
        int groupSize,
        boolean symmetric,
        ColumnOrder order,
        boolean mixed,
        List<Linear> linears) {
    /** A program may join the linears of such a set into one, which is quantized or not. */
    private static final List<Set<String>> JOINED =
            List.of(Set.of("q_proj", "k_proj", "v_proj"), Set.of("gate_proj", "up_proj"));

    public Traits {
        linears = List.copyOf(linears);
    }

    /** With one width for all. */
    public Traits(
            String format,
            String family,
            int bits,
            int groupSize,
            boolean symmetric,
            ColumnOrder order,
            List<Linear> linears) {
        this(format, family, bits, groupSize, symmetric, order, false, linears);
    }

    public Traits(String format, String family, Scheme scheme, List<Linear> linears) {
        this(format, family, scheme.bits(), scheme.groupSize(), scheme.symmetric(), scheme.order(), false, linears);
    }

    /**
     * @param name its full name
     * @param expert whether it is an expert's
     */
    public record Linear(String name, int inputs, boolean expert) {}

    boolean experts() {
        return linears.stream().anyMatch(Linear::expert);
    }

    /** The most inputs that share a scale. */
    int longestGroup() {
        return groupSize == -1 ? linears.stream().mapToInt(Linear::inputs).max().orElse(0) : groupSize;
    }

    /** Whether of linears that a program joins some are quantized and others not. */
    boolean dividesJoined() {
        Map<String, Set<String>> byParent = linears.stream()
                .map(Linear::name)
                .collect(Collectors.groupingBy(
                        name -> name.substring(0, name.lastIndexOf('.') + 1),
                        Collectors.mapping(name -> name.substring(name.lastIndexOf('.') + 1), Collectors.toSet())));
        return byParent.values().stream()
                .anyMatch(names -> JOINED.stream()
                        .anyMatch(set -> set.stream().anyMatch(names::contains) && !names.containsAll(set)));
    }
}
