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
 * @param columns their order
 * @param span columns
 * @param importance n, in the order of groups
 * @param factor n x n, R
 */
record LiveScales(Columns columns, int span, float[] importance, DeviceMatrix factor, Device device) {
    /** The first group that begins at a column or behind it. */
    private int group(int column) {
        return (column + columns.length() - 1) / columns.length();
    }

    /** Where the last group ends that begins in a span; its beginning where none does. */
    private int end(int from) {
        int n = importance.length;
        int behind = group(Math.min(n, from + span));
        return behind == group(from) ? from : Math.min(n, behind * columns.length());
    }

    /**
     * @param original rows x n, order of the sweep
     * @param working rows x n, order of the sweep: with the errors of all columns before {@code from}
     * @param from where a span begins
     */
    void choose(GridSearch search, DeviceMatrix original, DeviceMatrix working, int from, Grids grids) {
        int length = columns.length();
        int to = end(from);
        int first = group(from);
        int[] groups = new int[group(to) - first];
        for (int k = 0; k < groups.length; k++) {
            groups[k] = columns.sweep()[(first + k) * length] / length;
        }
        if (groups.length == 0) {
            return;
        }
        float[] important = new float[to - from];
        for (int i = from; i < to; i++) {
            important[i - from] = importance[columns.sweep()[i]];
        }
        try (DeviceMatrix relaxed = device.solve().relax(original, working, factor, from, to); // rows x (to - from)
                DeviceMatrix ofColumns = device.upload(new Matrix(1, to - from, important), DType.F32)) {
            device.solve().search(relaxed, ofColumns, search, first * length - from, length, groups, grids);
        }
    }
}
