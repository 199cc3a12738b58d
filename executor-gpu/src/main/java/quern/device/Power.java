package quern.device;

import java.util.Arrays;

/**
 * x^2.4 for the error norm of the classic tool's search, about ten times faster than {@link Math#pow}: the power of the
 * exponent times that of the mantissa, which is interpolated. Relative error below 1e-6.
 */
public final class Power {
    static final double NORM = 2.4;

    private static final int STEPS = 4096;
    private static final int SHIFT = 23 - 12;
    private static final float[] MANTISSA = new float[STEPS + 1];
    private static final float[] EXPONENT = new float[256];

    static {
        for (int i = 0; i <= STEPS; i++) {
            MANTISSA[i] = (float) Math.pow(1 + (double) i / STEPS, NORM);
        }
        for (int i = 1; i < EXPONENT.length; i++) {
            EXPONENT[i] = (float) Math.pow(2, NORM * (i - 127));
        }
    }

    private Power() {}

    /** What {@link #of} multiplies, for kernels elsewhere: 256 powers of exponents, then 4097 of mantissas. */
    public static float[] table() {
        float[] table = Arrays.copyOf(EXPONENT, EXPONENT.length + MANTISSA.length);
        System.arraycopy(MANTISSA, 0, table, EXPONENT.length, MANTISSA.length);
        return table;
    }

    /** |x|^2.4; 0 for subnormal x. */
    static float of(float x) {
        int bits = Float.floatToRawIntBits(x) & 0x7fffffff;
        int step = bits >>> SHIFT & STEPS - 1;
        float rest = (bits & (1 << SHIFT) - 1) * (1f / (1 << SHIFT));
        return EXPONENT[bits >>> 23] * (MANTISSA[step] + rest * (MANTISSA[step + 1] - MANTISSA[step]));
    }
}
