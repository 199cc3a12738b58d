package quern.device;

import java.util.Arrays;
import quern.tensor.StepFunction;

/**
 * The searches of ggml's quantizers for the scale of a few weights. Each takes some scales, rounds the weights to them, and keeps the codes
 * whose least-squares scale leaves the smallest weighted error; scales themselves are rounded to multiples of a unit in the same way. Sums
 * are of floats and in order, so that the bits are those of ggml's reference. For one thread.
 */
final class BlockFit {
    /** Below it a weight counts as zero. */
    private static final float NOTHING = 1e-15f;

    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private static final int SWEEPS = 5;

    private final int[] tried = new int[256];
    private float minimum;

    static int nearest(float value) {
        return (int) (value + ROUND - ROUND);
    }

    /** The first of the largest magnitude, with its sign. */
    static float extreme(float[] x, int at, int n) {
        float found = 0;
        for (int i = at; i < at + n; i++) {
            if (Math.abs(x[i]) > Math.abs(found)) {
                found = x[i];
            }
        }
        return found;
    }

    /**
     * A scale without minimum: of 19 between the range and a tenth of a step around each side of it.
     *
     * @param half codes reach from -half to half - 1
     * @param weights of the squared errors
     * @param codes takes them, from {@code at} on
     */
    float symmetric(float[] x, int at, int n, int half, float[] weights, int[] codes) {
        float extreme = extreme(x, at, n);
        if (Math.abs(extreme) < NOTHING) {
            Arrays.fill(codes, at, at + n, 0);
            return 0;
        }
        float scale = 0;
        float best = 0;
        for (int step = 0; step < 19; step++) {
            int k = step == 0 ? 0 : step < 10 ? step - 10 : step - 9;
            float inverse = -(half + 0.1f * k) / extreme;
            float xl = 0;
            float ll = 0;
            for (int i = at; i < at + n; i++) {
                int code = clamp(nearest(inverse * x[i]), -half, half - 1);
                tried[i - at] = code;
                xl += weights[i] * x[i] * code;
                ll += weights[i] * code * code;
            }
            if (step == 0 || ll > 0 && xl * xl > best * ll) {
                scale = ll > 0 ? xl / ll : 0;
                best = scale * xl;
                System.arraycopy(tried, 0, codes, at, n);
            }
        }
        return scale;
    }

    /** A scale without minimum, by descent over the codes of the range's scale; squared weights weigh. */
    float symmetricByDescent(float[] x, int at, int n, int half, float[] weights, int[] codes) {
        float extreme = extreme(x, at, n);
        if (Math.abs(extreme) < NOTHING) {
            Arrays.fill(codes, at, at + n, 0);
            return 0;
        }
        float inverse = -half / extreme;
        float xl = 0;
        float ll = 0;
        for (int i = at; i < at + n; i++) {
            codes[i] = clamp(nearest(inverse * x[i]), -half, half - 1);
            xl += weights[i] * x[i] * codes[i];
            ll += weights[i] * codes[i] * codes[i];
        }
        return descend(x, at, n, -half, half - 1, weights, codes, xl, ll);
    }

    /** Each code in turn to the best one for the scale that fits all others. */
    private static float descend(
            float[] x, int at, int n, int lowest, int highest, float[] weights, int[] codes, float xl, float ll) {
        boolean changed = true;
        for (int sweep = 0; sweep < SWEEPS && changed; sweep++) {
            changed = false;
            for (int i = at; i < at + n; i++) {
                float w = weights[i];
                float restXl = xl - w * x[i] * codes[i];
                float restLl = ll - w * codes[i] * codes[i];
                if (!(restXl > 0 && restLl > 0)) {
                    continue;
                }
                int code = clamp(nearest(x[i] * restLl / restXl), lowest, highest);
                if (code != codes[i]) {
                    restXl += w * x[i] * code;
                    restLl += w * code * code;
                    if (restLl > 0 && restXl * restXl * ll > xl * xl * restLl) {
                        codes[i] = code;
                        xl = restXl;
                        ll = restLl;
                        changed = true;
                    }
                }
            }
        }
        return ll > 0 ? xl / ll : 0;
    }

    /**
     * Scales, or minima, as multiples of a unit.
     *
     * @param values not negative, n
     * @param multiples takes them
     * @return the unit
     */
    float unit(float[] values, int n, int highest, float[] weights, int[] multiples) {
        float largest = 0;
        for (int i = 0; i < n; i++) {
            largest = Math.max(largest, values[i]);
        }
        if (largest < NOTHING) {
            Arrays.fill(multiples, 0, n, 0);
            return 0;
        }
        float inverse = highest / largest;
        float best = Float.POSITIVE_INFINITY;
        for (int step = 0; step < 9; step++) {
            int k = step == 0 ? 0 : step < 5 ? step - 5 : step - 4;
            float candidate = step == 0 ? inverse : (0.1f * k + highest) / largest;
            float scale = 1 / candidate;
            float error = 0;
            for (int i = 0; i < n; i++) {
                float e = values[i] - scale * Math.min(highest, nearest(candidate * values[i]));
                error += weights[i] * e * e;
            }
            if (error < best) {
                best = error;
                inverse = candidate;
            }
        }
        float xl = 0;
        float ll = 0;
        for (int i = 0; i < n; i++) {
            multiples[i] = Math.min(highest, nearest(inverse * values[i]));
            xl += weights[i] * values[i] * multiples[i];
            ll += weights[i] * multiples[i] * multiples[i];
        }
        return descend(values, 0, n, Integer.MIN_VALUE, highest, weights, multiples, xl, ll);
    }

    /** How a scale with a minimum is searched: steps of the inverse scale, from where, and whether errors are squared. */
    record Steps(float from, float by, int count, boolean squared) {}

    /** The minimum that belongs to the last scale of {@link #affine}, not negative: what is taken away. */
    float minimum() {
        return minimum;
    }

    /** A scale with a minimum, {@link #minimum}: w = scale * code - minimum. */
    float affine(float[] x, int at, int n, int highest, float[] weights, Steps steps, int[] codes) {
        float low = 0;
        float high = x[at];
        float sum = 0;
        float sumX = 0;
        for (int i = at; i < at + n; i++) {
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
            sum += weights[i];
            sumX += weights[i] * x[i];
        }
        if (high <= low) {
            Arrays.fill(codes, at, at + n, 0);
            minimum = -low;
            return 0;
        }
        float inverse = highest / (high - low);
        float scale = 1 / inverse;
        float best = 0;
        for (int i = at; i < at + n; i++) {
            codes[i] = clamp(nearest(inverse * (x[i] - low)), 0, highest);
            best += weights[i] * measure(scale * codes[i] + low - x[i], steps);
        }
        for (int k = 0; k <= steps.count(); k++) {
            inverse = (steps.from() + steps.by() * k + highest) / (high - low);
            float l = 0;
            float ll = 0;
            float lx = 0;
            for (int i = at; i < at + n; i++) {
                int code = clamp(nearest(inverse * (x[i] - low)), 0, highest);
                tried[i - at] = code;
                float w = weights[i];
                l += w * code;
                ll += w * code * code;
                lx += w * code * x[i];
            }
            float determinant = sum * ll - l * l;
            if (!(determinant > 0)) {
                continue;
            }
            float fitted = (sum * lx - sumX * l) / determinant;
            float offset = (ll * sumX - l * lx) / determinant;
            if (offset > 0) {
                offset = 0;
                fitted = lx / ll;
            }
            float error = 0;
            for (int i = at; i < at + n; i++) {
                error += weights[i] * measure(fitted * tried[i - at] + offset - x[i], steps);
            }
            if (error < best) {
                best = error;
                scale = fitted;
                low = offset;
                System.arraycopy(tried, 0, codes, at, n);
            }
        }
        minimum = -low;
        return scale;
    }

    private static float measure(float difference, Steps steps) {
        return steps.squared() ? difference * difference : Math.abs(difference);
    }

    /** A scale of a grid of levels: of 16 around where the extreme meets the lowest level. */
    float levels(float[] x, int at, int n, StepFunction levels, float[] weights) {
        float extreme = extreme(x, at, n);
        if (Math.abs(extreme) < NOTHING) {
            return 0;
        }
        float lowest = levels.values()[0];
        float scale = 0;
        float best = 0;
        for (int step = 0; step < 16; step++) {
            float inverse = step == 0 ? 1 / (-extreme / lowest) : (step - 8 + lowest) / extreme;
            float qx = 0;
            float qq = 0;
            for (int i = at; i < at + n; i++) {
                float level = levels.values()[levels.place(inverse * x[i])];
                qx += weights[i] * level * x[i];
                qq += weights[i] * level * level;
            }
            if (step == 0 || qq > 0 && qx * qx > best * qq) {
                scale = qx / qq;
                best = scale * qx;
            }
        }
        return scale;
    }

    private static int clamp(int value, int lowest, int highest) {
        return Math.max(lowest, Math.min(highest, value));
    }
}
