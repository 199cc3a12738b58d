package quern.scheme;

import java.util.Arrays;
import quern.tensor.HalfFloats;
import quern.tensor.StepFunction;

/**
 * A table of values, in rising order; a code is a place in it, and there are no zero points. Formats map places to the codes that they
 * store. Where those have a sign, so has zero: what is negative and rounded to zero is a negative zero.
 */
public enum LevelGrid implements Grid {
    /**
     * The 16 values of NormalFloat: quantiles of the normal distribution, with an exact zero (Dettmers et al., QLoRA, 2023, appendix E).
     * Values between two of them go to the nearer, halfway to the lower.
     */
    NF4(4, Ties.DOWN, true, nf4()),

    /** The 4-bit floats of bitsandbytes: 0, 1/192 and 1/6 to 1, with either sign; halfway to the smaller magnitude. */
    FP4(
            4,
            Ties.INWARD,
            true,
            mirrored(
                    0,
                    0.0052083334885537624f,
                    0.1666666716337204f,
                    0.25f,
                    0.3333333432674408f,
                    0.5f,
                    0.6666666865348816f,
                    1)),

    /** E2M1 of the OCP Microscaling specification 1.0; halfway to the even mantissa. */
    E2M1(4, Ties.EVEN, false, signed(0, 0.5f, 1, 1.5f, 2, 3, 4, 6)),

    /** Whole numbers from -127 to 127 in parts of 127; halfway to the even one. */
    INT8(8, Ties.EVEN, true, int8()),

    /** The 16 values of ggml's IQ4 types: denser around zero, and without one; halfway to the upper. */
    IQ4(4, Ties.UP, true, iq4()),

    /** E4M3 of the OCP 8-bit floating point specification 1.0, without its NaN; halfway to the even mantissa. */
    E4M3(8, Ties.EVEN, false, e4m3());

    private enum Ties {
        DOWN,
        UP,
        INWARD,
        EVEN
    }

    private static final int NEGATIVE_ZERO = Integer.MIN_VALUE; // as bits of a float

    private final int bits;
    private final boolean byReciprocal;
    private final StepFunction steps;

    LevelGrid(int bits, Ties ties, boolean byReciprocal, float[] levels) {
        this.bits = bits;
        this.byReciprocal = byReciprocal;
        float[] thresholds = new float[levels.length - 1];
        int found = Arrays.binarySearch(levels, 0);
        int zero = found < 0 ? -1 - found : found; // or where it would be
        int negative = zero - (levels[zero - 1] == 0 ? 1 : 0); // the place of a zero with a sign, if there is one
        for (int i = 0; i < thresholds.length; i++) {
            float half = (levels[i] + levels[i + 1]) / 2;
            int magnitude = i + 1 >= zero ? i + 1 - zero : negative - (i + 1); // of the upper neighbour
            boolean up = switch (ties) {
                case DOWN -> false;
                case UP -> true;
                case INWARD -> i < zero;
                case EVEN -> magnitude % 2 == 0; // counted from zero, whose mantissa is even
            };
            thresholds[i] = up ? Math.nextDown(half) : half;
        }
        if (negative < zero) {
            thresholds[negative] = -Float.MIN_VALUE;
        }
        steps = new StepFunction(levels, thresholds);
    }

    @Override
    public float[] levels() {
        return steps.values();
    }

    /** Rounds to the nearest value. */
    public StepFunction steps() {
        return steps;
    }

    /** Whether its own tools multiply a weight by the reciprocal of the scale, where others divide: the codes differ in the last place. */
    public boolean byReciprocal() {
        return byReciprocal;
    }

    /** The place of the nearest value. */
    public int place(float value) {
        int place = steps.place(value);
        return this == E4M3 && Float.floatToRawIntBits(value) == NEGATIVE_ZERO ? place - 1 : place;
    }

    /** The places of the nearest values, in bytes from {@code at} on. */
    public void places(float[] values, byte[] into, int at) {
        steps.places(values, into, at);
        if (this == E4M3) { // whose own tools keep the sign of a zero
            for (int i = 0; i < values.length; i++) {
                into[at + i] -= (byte) (Float.floatToRawIntBits(values[i]) == NEGATIVE_ZERO ? 1 : 0);
            }
        }
    }

    @Override
    public int bits() {
        return bits;
    }

    @Override
    public int lowestCode() {
        return 0;
    }

    @Override
    public int highestCode() {
        return steps.values().length - 1;
    }

    @Override
    public boolean symmetric() {
        return true;
    }

    @Override
    public int middle() {
        return 0;
    }

    @Override
    public float reach() {
        return steps.values()[highestCode()];
    }

    private static float[] nf4() {
        return new float[] {
            -1,
            -0.6961928009986877f,
            -0.5250730514526367f,
            -0.39491748809814453f,
            -0.28444138169288635f,
            -0.18477343022823334f,
            -0.09105003625154495f,
            0,
            0.07958029955625534f,
            0.16093020141124725f,
            0.24611230194568634f,
            0.33791524171829224f,
            0.44070982933044434f,
            0.5626170039176941f,
            0.7229568362236023f,
            1
        };
    }

    private static float[] iq4() {
        return new float[] {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    }

    private static float[] int8() {
        float[] positive = new float[128];
        for (int i = 0; i < positive.length; i++) {
            positive[i] = i / 127f;
        }
        return mirrored(positive);
    }

    private static float[] e4m3() {
        float[] positive = new float[0x7f];
        for (int code = 0; code < positive.length; code++) {
            positive[code] = HalfFloats.fromF8E4M3((byte) code);
        }
        return signed(positive);
    }

    /** With a zero of either sign. */
    private static float[] signed(float... magnitudes) {
        int n = magnitudes.length;
        float[] all = new float[2 * n];
        for (int i = 0; i < n; i++) {
            all[n + i] = magnitudes[i];
            all[n - 1 - i] = -magnitudes[i];
        }
        return all;
    }

    /** @param magnitudes from 0 upwards */
    private static float[] mirrored(float... magnitudes) {
        int n = magnitudes.length;
        float[] all = new float[2 * n - 1];
        for (int i = 0; i < n; i++) {
            all[n - 1 + i] = magnitudes[i];
            all[n - 1 - i] = i == 0 ? 0 : -magnitudes[i];
        }
        return all;
    }
}
