package quern.method;

import quern.device.Device;
import quern.tensor.Matrix;

/**
 * Chooses the scale of a group when the sweep reaches it, from what its weights have become: the values that the free
 * columns would take if they could take any, given the columns that are fixed. On R that is the sweep's recursion with a
 * quantizer that changes nothing, w'_j = w~_j + sum over r in [from, j) of (w_r - w'_r) R_rj / R_jj.
 */
final class LiveScales {
    private final Columns columns;
    private final float[] importance; // n, order of the sweep
    private final float[][] updates; // for each group of the sweep, length x length: R_rj / R_jj

    /**
     * @param importance n, in the order of groups
     */
    LiveScales(Columns columns, float[] importance, DampedHessian h, Device device) {
        this.columns = columns;
        int n = importance.length;
        int length = columns.length();
        this.importance = new float[n];
        for (int i = 0; i < n; i++) {
            this.importance[i] = importance[columns.sweep()[i]];
        }
        Matrix factor = device.download(h.factor()); // n x n
        updates = new float[(n + length - 1) / length][length * length];
        for (int g = 0; g < updates.length; g++) {
            int from = g * length;
            for (int r = from; r < Math.min(n, from + length); r++) {
                for (int j = r; j < Math.min(n, from + length); j++) {
                    updates[g][(r - from) * length + j - from] = factor.at(r, j) / factor.at(j, j);
                }
            }
        }
    }

    /**
     * @param original rows x n, order of the sweep
     * @param working rows x n, order of the sweep: with the errors of all columns before {@code from}
     * @param from where the group starts
     */
    void choose(ScaleSearch search, Matrix original, Matrix working, int from, Scales scales) {
        int n = working.cols();
        int length = columns.length();
        int to = Math.min(n, from + length);
        float[] update = updates[from / length];
        for (int row = 0; row < working.rows(); row++) {
            int at = row * n + from;
            for (int r = 0; r < to - from; r++) {
                float moved = original.values()[at + r] - working.values()[at + r];
                for (int j = r + 1; j < to - from; j++) {
                    working.values()[at + j] += moved * update[r * length + j];
                }
            }
        }
        int group = columns.sweep()[from] / length;
        search.choose(working.values(), n, from, to - from, importance, scales, group);
    }
}
