package quern.method;

import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.device.Grids;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Chooses scales while the sweep goes on, from what weights have become: the values that the free columns would take if they
 * could take any, given the columns that are fixed. On R that is the sweep's recursion with a quantizer that changes nothing,
 * w'_j = w~_j + sum over r in [from, j) of (w_r - w'_r) R_rj / R_jj.
 *
 * <p>Columns are taken in spans, and at the beginning of each the scales of all groups that begin in it are chosen. The classic
 * tool's spans are its blocks of 128 columns, within which it does not write errors back to the weights that it looks at; a span
 * of one group sees all errors before it.
 *
 * @param inputs of one linear, or of a stack of k
 * @param span columns
 */
record LiveScales(Inputs inputs, int span, Device device) {
    /** The first group that begins at a column or behind it. */
    private int group(int column) {
        return (column + inputs.length() - 1) / inputs.length();
    }

    /** Where the last group ends that begins in a span; its beginning where none does. */
    private int end(int from) {
        int n = inputs.inputs();
        int behind = group(Math.min(n, from + span));
        return behind == group(from) ? from : Math.min(n, behind * inputs.length());
    }

    /**
     * @param original (k * rows) x n, order of the sweep
     * @param working (k * rows) x n, order of the sweep: with the errors of all columns before {@code from}
     * @param from where a span begins
     */
    void choose(GridSearch search, DeviceMatrix original, DeviceMatrix working, int from, Grids grids) {
        int length = inputs.length();
        int to = end(from);
        int first = group(from);
        if (group(to) == first) {
            return;
        }
        int[][] groups = inputs.each(columns -> groups(columns, first, group(to)));
        DeviceMatrix factor = inputs.hessian().factor();
        try (DeviceMatrix relaxed =
                        device.solve().relax(original, working, factor, from, to); // (k * rows) x (to - from)
                DeviceMatrix ofColumns = device.upload(importance(from, to), DType.F32)) {
            device.solve().search(relaxed, ofColumns, search, first * length - from, length, groups, grids);
        }
    }

    /** Whether a span is a group of which at least one is in a block of the sweep, so that both go on together. */
    boolean ofGroups() {
        return span == inputs.length() && span <= GptqSweep.BLOCK;
    }

    /**
     * The sweep of as many whole groups as a block has room for.
     *
     * @param from where a group begins
     * @return where the sweep goes on
     */
    int sweep(
            GridSearch search, DeviceMatrix original, DeviceMatrix working, int from, Grids grids, DeviceMatrix codes) {
        int to = Math.min(inputs.inputs(), from + GptqSweep.BLOCK / span * span);
        int[][] groups = inputs.each(columns -> columns.groupsOfSweep(from, to));
        DeviceMatrix factor = inputs.hessian().factor();
        try (DeviceMatrix ofColumns = device.upload(importance(from, to), DType.F32)) {
            device.solve().sweep(original, working, factor, from, to, ofColumns, search, span, groups, grids, codes);
        }
        return to;
    }

    /** The groups of the runs [first, last) of the sweep. */
    private static int[] groups(Columns columns, int first, int last) {
        int[] groups = new int[last - first];
        for (int k = 0; k < groups.length; k++) {
            groups[k] = columns.sweep()[(first + k) * columns.length()] / columns.length();
        }
        return groups;
    }

    /** Of the columns [from, to) of the sweep, k x (to - from). */
    private Matrix importance(int from, int to) {
        Matrix important = Matrix.zeros(inputs.members(), to - from);
        for (int m = 0; m < inputs.members(); m++) {
            int[] sweep = inputs.columns().get(m).sweep();
            for (int i = from; i < to; i++) {
                important.values()[m * (to - from) + i - from] =
                        inputs.importance().at(m, sweep[i]);
            }
        }
        return important;
    }
}
