package quern.scheme;

import quern.QuernException;

/**
 * Whole numbers: the value of a code is the code.
 *
 * @param bits 1 to 6, or 8; one bit has codes for two values, and none between them
 * @param symmetric the zero point is 2^(bits-1) everywhere
 * @param ternary only the codes zero-1, zero, zero+1 are used (2 bits, symmetric)
 * @param between whether scales that span a range have it begin and end with the smallest and the largest weight, so that zero
 *     points lie between codes
 */
public record IntegerGrid(int bits, boolean symmetric, boolean ternary, boolean between) implements Grid {
    private static final float[] CODES = new float[256];

    static {
        for (int code = 0; code < CODES.length; code++) {
            CODES[code] = code;
        }
    }

    public IntegerGrid {
        if (bits < 1 || bits > 8 || bits == 7) {
            throw new IllegalArgumentException("No codes have " + bits + " bits");
        }
        checkTernary(bits, symmetric, ternary);
    }

    /** With whole zero points. */
    public IntegerGrid(int bits, boolean symmetric, boolean ternary) {
        this(bits, symmetric, ternary, false);
    }

    /** What a recipe may ask for; 5 and 6 bits belong to formats that have no others. */
    static void check(int bits, boolean symmetric, boolean ternary) {
        if (bits != 1 && bits != 2 && bits != 3 && bits != 4 && bits != 8) {
            throw new QuernException("Cannot quantize to " + bits + " bits: the codes have 1, 2, 3, 4 or 8 bits");
        }
        checkTernary(bits, symmetric, ternary);
    }

    private static void checkTernary(int bits, boolean symmetric, boolean ternary) {
        if (ternary && (bits != 2 || !symmetric)) {
            throw new QuernException("Cannot use ternary codes here: they need 2 bits and a symmetric grid");
        }
    }

    /** 2^bits - 1. */
    public int maxCode() {
        return (1 << bits) - 1;
    }

    @Override
    public int middle() {
        return 1 << (bits - 1);
    }

    /**
     * Not 0 on an asymmetric grid: the first GPTQ format stores zero - 1,
     * and its readers disagree on what -1 comes back as. It costs a group without any negative weight one code.
     */
    @Override
    public int lowestZero() {
        return symmetric ? middle() : 1;
    }

    @Override
    public int highestZero() {
        return symmetric ? middle() : maxCode();
    }

    @Override
    public int lowestCode() {
        return ternary ? middle() - 1 : 0;
    }

    @Override
    public int highestCode() {
        return ternary ? middle() + 1 : maxCode();
    }

    @Override
    public float[] levels() {
        return CODES;
    }

    @Override
    public float reach() {
        return ternary ? 1 : maxCode() / 2f;
    }
}
