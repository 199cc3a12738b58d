package quern.method;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;

/**
 * In which order a sweep takes the columns of a weight. Apart from the sweep, columns are held in the order of groups, in
 * which a group is a run of {@code length}: the natural order, or with {@link ColumnOrder#FULL} that of the sweep.
 *
 * @param sweep for each position of the sweep, the position in the order of groups
 * @param natural for each position in the order of groups, the column of the weight
 * @param length of a group
 * @param live whether a group's scale is chosen from the working weights when the sweep reaches it; else all are chosen
 *     before, from the original weights
 */
record Columns(int[] sweep, int[] natural, int length, boolean live) {
    static Columns of(Scheme scheme, float[] diagonal) {
        int inputs = diagonal.length;
        int length = scheme.groupLength(inputs);
        int[] identity = IntStream.range(0, inputs).toArray();
        // With one group for the whole row there is nothing to wait for, and a unit of scales waits for no group of its
        // block.
        boolean live = length < inputs && scheme.blocks() == null;
        return switch (scheme.order()) {
            case OFF -> new Columns(identity, identity, length, live);
            case STATIC -> new Columns(falling(0, inputs, diagonal), identity, length, false);
            case GROUP -> new Columns(byGroups(length, diagonal), identity, length, live);
            case FULL -> new Columns(identity, falling(0, inputs, diagonal), length, live);
        };
    }

    /** The same order with groups of another length. */
    Columns inGroups(int other) {
        return new Columns(sweep, natural, other, live);
    }

    /** The group of each column in the order of groups. */
    int[] groups() {
        return QuantizedLinear.runs(natural.length, length);
    }

    /** The group of each column of the weight. */
    int[] groupOfColumn() {
        int[] groups = new int[natural.length];
        for (int i = 0; i < natural.length; i++) {
            groups[natural[i]] = i / length;
        }
        return groups;
    }

    /** The group of each position [from, to) of the sweep. */
    int[] groupsOfSweep(int from, int to) {
        return IntStream.range(from, to).map(i -> sweep[i] / length).toArray();
    }

    /** For each position of the sweep, the column of the weight. */
    int[] sweepToNatural() {
        return Arrays.stream(sweep).map(i -> natural[i]).toArray();
    }

    /** For each column, its place in an order. */
    static int[] inverse(int[] order) {
        int[] places = new int[order.length];
        for (int i = 0; i < order.length; i++) {
            places[order[i]] = i;
        }
        return places;
    }

    /** The columns [from, to) by falling value; equal ones stay in order. */
    private static int[] falling(int from, int to, float[] value) {
        List<Integer> columns = IntStream.range(from, to).boxed().toList();
        return columns.stream()
                .sorted(Comparator.comparing((Integer i) -> -value[i]))
                .mapToInt(i -> i)
                .toArray();
    }

    /** Groups by falling largest value, columns by falling value inside of each; a short last group stays last. */
    private static int[] byGroups(int length, float[] value) {
        int full = value.length / length;
        int[][] inside = new int[full][];
        float[] largest = new float[full];
        for (int g = 0; g < full; g++) {
            inside[g] = falling(g * length, (g + 1) * length, value);
            largest[g] = value[inside[g][0]];
        }
        IntStream sorted = Arrays.stream(falling(0, full, largest)).flatMap(g -> Arrays.stream(inside[g]));
        return IntStream.concat(sorted, Arrays.stream(falling(full * length, value.length, value)))
                .toArray();
    }
}
