package quern.source;

/** The small floats of the OCP Microscaling specification 1.0. */
final class MicroFloats {
    private static final float[] E2M1 = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};

    private MicroFloats() {}

    /** E2M1: sign, two bits of exponent, one of mantissa. */
    static float e2m1(int code) {
        return E2M1[code & 15];
    }

    /** E8M0: 2^(code - 127); infinite for the code of NaN, 255. */
    static float powerOfTwo(int code) {
        return Math.scalb(1f, code - 127);
    }
}
