package quern.device;

import java.util.Arrays;
import quern.device.GridSearch.Measure;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/**
 * A {@link GridSearch} in loops over arrays: its definition, what devices without kernels for it run, and what quantizes where
 * there is no device. For one thread.
 */
public final class GridSearchLoops {
    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    /**
     * Rows that are searched together. The innermost loops run along them, from the start of their arrays and with few of
     * them, which is what the compiler makes vector code of.
     */
    private static final int ROWS = 1024;

    /** Weights by runs of a row. */
    public interface Rows {
        void read(int row, int col, int count, float[] to, int at);
    }

    private final GridSearch search;

    private float[] line = {};
    private float[][] tile = {}; // length x ROWS: a group's weights by columns
    private final float[] full = new float[ROWS]; // the scale that spans the range
    private final int[] middle = new int[ROWS]; // the zero point that the range implies
    private final float[] scale = new float[ROWS];
    private final float[] inverse = new float[ROWS];
    private final int[] zero = new int[ROWS];
    private final float[] lowest = new float[ROWS]; // smallest code - zero
    private final float[] highest = new float[ROWS]; // largest code - zero
    private final float[] level = new float[ROWS];
    private final float[] error = new float[ROWS];
    private final float[] best = new float[ROWS]; // the smallest error so far, and what made it:
    private final float[] bestScale = new float[ROWS];
    private final int[] bestZero = new int[ROWS];

    public GridSearchLoops(GridSearch search) {
        this.search = search;
    }

    /**
     * Searches the grid of one group for all rows.
     *
     * @param weights rows x as many as there are
     * @param from first column of the group
     * @param length columns of the group
     * @param importance of each column of a row
     * @param scales rows, written
     * @param zeros rows, written
     */
    public void choose(
            Rows weights, int rows, int from, int length, float[] importance, float[] scales, float[] zeros) {
        if (tile.length < length) {
            tile = new float[length][ROWS];
            line = new float[length];
        }
        for (int row = 0; row < rows; row += ROWS) {
            int some = Math.min(ROWS, rows - row);
            load(weights, row, some, from, length);
            ranges(some, length);
            for (int v = 0; v < search.zeros(); v++) {
                for (int i = 0; i < search.factors().length; i++) {
                    candidate(search.factors()[i], v == 0 ? 0 : 2 * v - 3, some);
                    measure(importance, from, some, length);
                    keep(some, v == 0 && i == 0);
                }
            }
            for (int r = 0; r < some; r++) {
                scales[row + r] = bestScale[r];
                zeros[row + r] = bestZero[r];
            }
        }
    }

    /**
     * The grid of one group where nothing is measured.
     *
     * @param w its weights are those from {@code begin} to before {@code end}
     * @param at where its scale and zero are written
     */
    public void span(float[] w, int begin, int end, float[] scales, float[] zeros, int at) {
        float high = search.symmetric() ? Matrix.largest(w, begin, end) : highest(w, begin, end);
        float low = search.symmetric() ? -high : lowest(w, begin, end);
        float spanning = search.full(low, high);
        scales[at] = search.stored().stored(spanning * search.factors()[0]);
        zeros[at] = search.zero(search.middle(low, high, spanning));
    }

    private static float highest(float[] w, int begin, int end) {
        float high = 0;
        for (int i = begin; i < end; i++) {
            if (w[i] > high) {
                high = w[i];
            }
        }
        return high;
    }

    private static float lowest(float[] w, int begin, int end) {
        float low = 0;
        for (int i = begin; i < end; i++) {
            if (w[i] < low) {
                low = w[i];
            }
        }
        return low;
    }

    private void load(Rows weights, int row, int rows, int from, int length) {
        for (int r = 0; r < rows; r++) {
            weights.read(row + r, from, length, line, 0);
            for (int j = 0; j < length; j++) {
                tile[j][r] = line[j];
            }
        }
    }

    private void ranges(int rows, int length) {
        float[] low = lowest; // not in use yet
        float[] high = highest;
        Arrays.fill(low, 0);
        Arrays.fill(high, 0);
        for (int j = 0; j < length; j++) {
            float[] w = tile[j];
            for (int r = 0; r < rows; r++) {
                low[r] = Math.min(low[r], w[r]);
            }
            for (int r = 0; r < rows; r++) {
                high[r] = Math.max(high[r], w[r]);
            }
        }
        for (int r = 0; r < rows; r++) {
            full[r] = search.full(low[r], high[r]);
            middle[r] = search.middle(low[r], high[r], full[r]);
        }
    }

    private void candidate(float factor, int shift, int rows) {
        for (int r = 0; r < rows; r++) {
            scale[r] = search.stored().stored(full[r] * factor);
            inverse[r] = 1 / scale[r];
            zero[r] = search.zero(middle[r] + shift);
            lowest[r] = search.values().lowest() - zero[r];
            highest[r] = search.values().highest() - zero[r];
        }
    }

    private void measure(float[] importance, int from, int rows, int length) {
        if (search.measure() == Measure.NONE) {
            return;
        }
        StepFunction levels = search.values().levels();
        Arrays.fill(error, 0);
        for (int j = 0; j < length; j++) {
            if (search.measure() == Measure.POWERS) {
                addPowers(tile[j], rows);
            } else if (levels != null) {
                addSquares(levels, tile[j], importance[from + j], rows);
            } else {
                addSquares(tile[j], importance[from + j], rows);
            }
        }
    }

    private void keep(int rows, boolean first) {
        for (int r = 0; r < rows; r++) {
            if (first || error[r] < best[r]) {
                best[r] = error[r];
                bestScale[r] = scale[r];
                bestZero[r] = zero[r];
            }
        }
    }

    private void addSquares(float[] w, float importance, int rows) {
        for (int r = 0; r < rows; r++) {
            float level = Math.max(lowest[r], Math.min(highest[r], (w[r] * inverse[r] + ROUND) - ROUND));
            float e = w[r] - scale[r] * level;
            error[r] += importance * e * e;
        }
    }

    /** Of levels. */
    private void addSquares(StepFunction steps, float[] w, float importance, int rows) {
        for (int r = 0; r < rows; r++) {
            level[r] = w[r] * inverse[r];
        }
        steps.round(level, rows);
        for (int r = 0; r < rows; r++) {
            float e = w[r] - scale[r] * level[r];
            error[r] += importance * e * e;
        }
    }

    private void addPowers(float[] w, int rows) {
        for (int r = 0; r < rows; r++) {
            float level = Math.max(lowest[r], Math.min(highest[r], (w[r] * inverse[r] + ROUND) - ROUND));
            error[r] += Power.of(scale[r] * level - w[r]);
        }
    }
}
