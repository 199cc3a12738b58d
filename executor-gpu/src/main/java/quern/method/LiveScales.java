package quern.method;

import quern.device.Device;
import quern.tensor.Matrix;

/**
 * Chooses scales while the sweep goes on, from what weights have become: the values that the free columns would take if they
 * could take any, given the columns that are fixed. On R that is the sweep's recursion with a quantizer that changes nothing,
 * w'_j = w~_j + sum over r in [from, j) of (w_r - w'_r) R_rj / R_jj.
 *
 * <p>Columns are taken in spans, and at the beginning of each the scales of all groups that begin in it are chosen. The classic
 * tool's spans are its blocks of 128 columns, within which it does not write errors back to the weights that it looks at; a span
 * of one group sees all errors before it.
 */
final class LiveScales {
    private final Columns columns;
    private final int span;
    private final float[] importance; // n, order of the sweep
    private final float[][]
            updates; // for each span, m x m: R_rj / R_jj, of the m columns from its beginning to its last group's end

    /**
     * @param importance n, in the order of groups
     * @param span columns
     */
    LiveScales(Columns columns, int span, float[] importance, DampedHessian h, Device device) {
        this.columns = columns;
        this.span = span;
        int n = importance.length;
        this.importance = new float[n];
        for (int i = 0; i < n; i++) {
            this.importance[i] = importance[columns.sweep()[i]];
        }
        Matrix factor = device.download(h.factor()); // n x n
        updates = new float[(n + span - 1) / span][];
        for (int s = 0; s < updates.length; s++) {
            int from = s * span;
            int m = end(from) - from;
            updates[s] = new float[m * m];
            for (int r = 0; r < m; r++) {
                for (int j = r; j < m; j++) {
                    updates[s][r * m + j] = factor.at(from + r, from + j) / factor.at(from + j, from + j);
                }
            }
        }
    }

    int span() {
        return span;
    }

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
    void choose(ScaleSearch search, Matrix original, Matrix working, int from, Scales scales) {
        int n = working.cols();
        int length = columns.length();
        int m = end(from) - from;
        float[] update = updates[from / span];
        for (int row = 0; row < working.rows(); row++) {
            int at = row * n + from;
            for (int r = 0; r < m; r++) {
                float moved = original.values()[at + r] - working.values()[at + r];
                for (int j = r + 1; j < m; j++) {
                    working.values()[at + j] += moved * update[r * m + j];
                }
            }
        }
        for (int start = group(from) * length; start < from + m; start += length) {
            int group = columns.sweep()[start] / length;
            search.choose(working.values(), n, start, Math.min(length, n - start), importance, scales, group);
        }
    }
}
