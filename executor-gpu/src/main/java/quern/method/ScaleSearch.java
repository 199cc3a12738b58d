package quern.method;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import quern.scheme.LevelGrid;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/**
 * Chooses the grid of a group of weights: of some candidates, ranges shrunk or stretched by a factor, the one whose
 * round-to-nearest error is smallest in the measure of a {@link ScaleRule}. Candidates are rounded to the type that scales
 * are stored in before their error is measured. For one thread.
 */
final class ScaleSearch {
    /** What the classic tool tries: 80 hundredths down from the full range. */
    private static final int MSE_STEPS = 80;

    private static final int STEPS = 48;

    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    /**
     * Rows that are searched together. The innermost loops run along them, from the start of their arrays and with few of
     * them, which is what the compiler makes vector code of.
     */
    private static final int ROWS = 1024;

    private final Scheme scheme;
    private final ScaleRule rule;
    private final float divisor;
    private final Ranges ranges;
    private final @Nullable BlockSearch blocks;
    private final @Nullable StepFunction levels;
    private final float[] factors;

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

    /** @param divisor of the weight, see {@link #divisor(Scheme, Matrix, float)} */
    ScaleSearch(Scheme scheme, ScaleRule rule, float divisor) {
        this.scheme = scheme;
        this.rule = rule;
        this.divisor = divisor;
        ranges = new Ranges(scheme, divisor);
        blocks = scheme.blocks() == null ? null : new BlockSearch(scheme);
        levels = scheme.grid() instanceof LevelGrid grid ? grid.steps() : null;
        factors = scheme.scaleType() == DType.F8_E8M0 && rule != ScaleRule.MAX
                ? new float[] {1, 2, 0.5f}
                : factors(scheme, rule);
    }

    Scheme scheme() {
        return scheme;
    }

    float divisor() {
        return divisor;
    }

    /** Whether codes and scales are refined after the sweep: the other rules are the classic tool's, and so is the whole solve. */
    boolean refines() {
        return rule == ScaleRule.DIAGONAL || rule == ScaleRule.SALIENCY;
    }

    /**
     * What the scales of a weight are divided by: where E4M3 stores them, so that the largest of them is its largest value; else 1.
     *
     * @param largest magnitude of it and of the weights that it shares the divisor with, or less
     */
    static float divisor(Scheme scheme, Matrix weight, float largest) {
        if (!scheme.dividesScales()) {
            return 1;
        }
        float reached = Math.max(largest, weight.largest());
        return reached == 0 ? 1 : scheme.largestScale() * scheme.grid().reach() / reached;
    }

    /** The grids of all groups of a panel; importance in the order of groups. */
    void choose(Panel panel, float[] importance) {
        int n = panel.n();
        if (blocks != null) {
            blocks.choose(panel.weights().values(), n, importance, panel.scales(), new byte[panel.rows() * n]);
            return;
        }
        int length = panel.columns().length();
        for (int g = 0; g < panel.scales().groups(); g++) {
            int from = g * length;
            choose(panel.weights().values(), n, from, Math.min(length, n - from), importance, panel.scales(), g);
        }
    }

    /** The scale nearest to {@code value} that a group may have; NaN where none is near. */
    float nearest(float value, Scales scales, int row, int group) {
        if (blocks != null) {
            return blocks.nearestScale(value, scales, row, group);
        }
        return value > 0 ? stored(value) : Float.NaN;
    }

    private static float[] factors(Scheme scheme, ScaleRule rule) {
        if (scheme.grid() instanceof LevelGrid grid && rule != ScaleRule.MAX) {
            // E2M1 gains where the largest weight meets 4 instead of 6: its steps are wide up there.
            float top = grid == LevelGrid.E2M1 ? 1.55f : 1.1f;
            return steps(top, grid.bits() == 8 ? 0.8f : 0.6f);
        }
        return switch (rule) {
            case OPEN, MAX -> new float[] {1};
            case MSE -> {
                float[] shrunk = new float[MSE_STEPS];
                for (int i = 0; i < MSE_STEPS; i++) {
                    shrunk[i] = 1 - i / 100f;
                }
                yield shrunk;
            }
            case DIAGONAL, SALIENCY -> {
                // Up to where the largest weight meets the largest code, which lies half a step inside the range.
                int middle = scheme.middle();
                float top = scheme.grid().reach() == 1 ? 1f : scheme.grid().reach() / (middle - 1);
                float bottom = scheme.bits() == 2 ? 0.2f : scheme.bits() == 8 ? 0.8f : 0.4f;
                yield steps(top, bottom);
            }
        };
    }

    private static float[] steps(float from, float to) {
        float[] tried = new float[STEPS];
        for (int i = 0; i < STEPS; i++) {
            tried[i] = from + (to - from) * i / (STEPS - 1);
        }
        return tried;
    }

    /** Asymmetric searches also try the zero points beside the one that the range implies. */
    private int zerosTried() {
        return scheme.symmetric() || rule == ScaleRule.MAX || rule == ScaleRule.MSE ? 1 : 3;
    }

    /**
     * Chooses the grid of one group for all rows.
     *
     * @param weights rows x stride
     * @param stride length of a row
     * @param from first column of the group
     * @param length columns of the group
     * @param importance of each column of a row; used by the rules that weigh
     * @param into takes the grids
     * @param group where
     */
    void choose(float[] weights, int stride, int from, int length, float[] importance, Scales into, int group) {
        int all = weights.length / stride;
        if (tile.length < length) {
            tile = new float[length][ROWS];
        }
        for (int row = 0; row < all; row += ROWS) {
            int rows = Math.min(ROWS, all - row);
            load(weights, row * stride + from, stride, rows, length);
            ranges(rows, length);
            for (int v = 0; v < zerosTried(); v++) {
                for (int i = 0; i < factors.length; i++) {
                    candidate(factors[i], v == 0 ? 0 : 2 * v - 3, rows);
                    measure(importance, from, rows, length);
                    keep(rows, v == 0 && i == 0);
                }
            }
            for (int r = 0; r < rows; r++) {
                into.scales()[(row + r) * into.groups() + group] = bestScale[r];
                into.zeros()[(row + r) * into.groups() + group] = bestZero[r];
            }
        }
    }

    private void load(float[] weights, int at, int stride, int rows, int length) {
        for (int r = 0; r < rows; r++) {
            for (int j = 0; j < length; j++) {
                tile[j][r] = weights[at + r * stride + j];
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
            full[r] = ranges.full(low[r], high[r]);
            middle[r] = ranges.middle(low[r], high[r], full[r]);
        }
    }

    private void candidate(float factor, int shift, int rows) {
        for (int r = 0; r < rows; r++) {
            scale[r] = ranges.stored(full[r] * factor);
            inverse[r] = 1 / scale[r];
            zero[r] = ranges.zero(middle[r] + shift);
            lowest[r] = scheme.lowestCode() - zero[r];
            highest[r] = scheme.highestCode() - zero[r];
        }
    }

    /** A scale as it will be stored: positive and finite. */
    float stored(float value) {
        return ranges.stored(value);
    }

    private void measure(float[] importance, int from, int rows, int length) {
        if (rule == ScaleRule.MAX) {
            return; // there is one candidate
        }
        Arrays.fill(error, 0);
        for (int j = 0; j < length; j++) {
            if (levels != null) {
                addSquares(levels, tile[j], rule == ScaleRule.MSE ? 1 : importance[from + j], rows);
            } else if (rule == ScaleRule.MSE) {
                addPowers(tile[j], rows);
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

    /** Of levels; the classic tool knows none, so with its rule errors are squared too. */
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
