package quern.method;

import java.util.Arrays;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * Chooses the grid of a group of weights: of some candidates, ranges shrunk or stretched by a factor, the one whose
 * round-to-nearest error is smallest in the measure of a {@link ScaleRule}. Candidates are rounded to the type that scales
 * are stored in before their error is measured. For one thread.
 *
 * <p>The range of a symmetric grid is always -max|w| .. max|w|. The classic tool starts at 0 in rows without negative
 * weights and then clips half of their range, since its zero point stays in the middle.
 */
final class ScaleSearch {
    /** What the classic tool tries: 80 hundredths down from the full range. */
    private static final int MSE_STEPS = 80;

    private static final int STEPS = 48;

    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private final Scheme scheme;
    private final ScaleRule rule;
    private final float[] factors;
    private final float smallest;
    private final float largest;

    private final float[] scale;
    private final float[] inverse;
    private final float[] lowest; // smallest code - zero
    private final float[] highest; // largest code - zero
    private final float[] error;
    private final int[] zero;

    ScaleSearch(Scheme scheme, ScaleRule rule) {
        this.scheme = scheme;
        this.rule = rule;
        factors = factors(scheme, rule);
        smallest = scheme.scaleType() == DType.F16 ? 0x1p-24f : Float.MIN_NORMAL;
        largest = scheme.largestScale();
        int candidates = factors.length * zerosTried();
        scale = new float[candidates];
        inverse = new float[candidates];
        lowest = new float[candidates];
        highest = new float[candidates];
        error = new float[candidates];
        zero = new int[candidates];
    }

    private static float[] factors(Scheme scheme, ScaleRule rule) {
        return switch (rule) {
            case MAX -> new float[] {1};
            case MSE -> {
                float[] shrunk = new float[MSE_STEPS];
                for (int i = 0; i < MSE_STEPS; i++) {
                    shrunk[i] = 1 - i / 100f;
                }
                yield shrunk;
            }
            case DIAGONAL, SALIENCY -> {
                // Up to where the largest weight meets the largest code, which lies half a step inside the range.
                float top = scheme.ternary() ? 1f : (scheme.maxCode() / 2f) / (scheme.maxCode() / 2);
                float bottom = scheme.ternary() || scheme.bits() == 2 ? 0.2f : scheme.bits() == 8 ? 0.8f : 0.4f;
                float[] tried = new float[STEPS];
                for (int i = 0; i < STEPS; i++) {
                    tried[i] = top + (bottom - top) * i / (STEPS - 1);
                }
                yield tried;
            }
        };
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
        for (int row = 0, at = from; at < weights.length; row++, at += stride) {
            candidates(weights, at, length);
            Arrays.fill(error, 0);
            if (rule == ScaleRule.MSE) {
                powerErrors(weights, at, length);
            } else if (rule != ScaleRule.MAX) {
                for (int j = 0; j < length; j++) {
                    if (scheme.symmetric()) {
                        squaredErrors(weights[at + j], importance[from + j], lowest[0], highest[0]);
                    } else {
                        squaredErrors(weights[at + j], importance[from + j]);
                    }
                }
            }
            int best = 0;
            for (int c = 1; c < error.length; c++) {
                if (error[c] < error[best]) {
                    best = c;
                }
            }
            into.scales()[row * into.groups() + group] = scale[best];
            into.zeros()[row * into.groups() + group] = (byte) zero[best];
        }
    }

    private void candidates(float[] weights, int at, int length) {
        float low = 0;
        float high = 0;
        for (int j = at; j < at + length; j++) {
            low = Math.min(low, weights[j]);
            high = Math.max(high, weights[j]);
        }
        if (scheme.symmetric()) {
            high = Math.max(-low, high);
            low = -high;
        }
        if (low == high) {
            low = -1;
            high = 1;
        }
        float full = scheme.ternary() ? high : (high - low) / scheme.maxCode();
        int middle = scheme.symmetric() ? scheme.middle() : (int) Math.rint(-low / full);
        int variants = zerosTried();
        for (int i = 0; i < factors.length; i++) {
            float rounded = stored(full * factors[i]);
            for (int v = 0; v < variants; v++) {
                int c = v * factors.length + i;
                int shifted = middle + (v == 0 ? 0 : 2 * v - 3);
                zero[c] = Math.max(scheme.lowestZero(), Math.min(scheme.highestZero(), shifted));
                scale[c] = rounded;
                inverse[c] = 1 / rounded;
                lowest[c] = scheme.lowestCode() - zero[c];
                highest[c] = scheme.highestCode() - zero[c];
            }
        }
    }

    /** A scale as it will be stored: positive and finite. */
    float stored(float value) {
        return HalfFloats.round(Math.max(smallest, Math.min(largest, value)), scheme.scaleType());
    }

    /** All candidates at once: a loop without any dependence, which the compiler turns into vector instructions. */
    private void squaredErrors(float w, float importance) {
        for (int c = 0; c < error.length; c++) {
            float level = Math.max(lowest[c], Math.min(highest[c], w * inverse[c])) + ROUND - ROUND;
            float e = w - scale[c] * level;
            error[c] += importance * e * e;
        }
    }

    /** The same where all candidates have one zero point. */
    private void squaredErrors(float w, float importance, float low, float high) {
        for (int c = 0; c < error.length; c++) {
            float level = Math.max(low, Math.min(high, w * inverse[c])) + ROUND - ROUND;
            float e = w - scale[c] * level;
            error[c] += importance * e * e;
        }
    }

    private void powerErrors(float[] weights, int at, int length) {
        for (int c = 0; c < error.length; c++) {
            float sum = 0;
            for (int j = at; j < at + length; j++) {
                float level = Math.max(lowest[c], Math.min(highest[c], weights[j] * inverse[c])) + ROUND - ROUND;
                sum += Power.of(scale[c] * level - weights[j]);
            }
            error[c] = sum;
        }
    }
}
