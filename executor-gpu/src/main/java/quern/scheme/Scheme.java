package quern.scheme;

import java.io.Serializable;
import quern.QuernException;
import quern.tensor.DType;

/**
 * What the codes of a linear may mean: w = scale * (code - zero), one scale and zero per group of inputs.
 *
 * @param bits 2, 3, 4 or 8
 * @param groupSize inputs that share a scale; -1 for the whole row
 * @param symmetric the zero point is 2^(bits-1) everywhere
 * @param ternary only the codes zero-1, zero, zero+1 are used (2 bits, symmetric)
 * @param order the order of columns
 * @param scaleType the type that scales are stored in: a method chooses scales that this type represents exactly
 */
public record Scheme(int bits, int groupSize, boolean symmetric, boolean ternary, ColumnOrder order, DType scaleType)
        implements Serializable {
    public Scheme {
        check(bits, groupSize, symmetric, ternary);
    }

    /** Also for a recipe, which does not know the type of its scales yet. */
    static void check(int bits, int groupSize, boolean symmetric, boolean ternary) {
        if (bits != 2 && bits != 3 && bits != 4 && bits != 8) {
            throw new QuernException("Cannot quantize to " + bits + " bits: the codes have 2, 3, 4 or 8 bits");
        }
        if (groupSize != -1 && groupSize < 1) {
            throw new QuernException(
                    "Cannot use group size " + groupSize + ": it is -1 (the whole row) or a positive number");
        }
        if (ternary && (bits != 2 || !symmetric)) {
            throw new QuernException("Cannot use ternary codes here: they need 2 bits and a symmetric grid");
        }
    }

    /** The largest code, 2^bits - 1. */
    public int maxCode() {
        return (1 << bits) - 1;
    }

    /** The zero point of a symmetric grid, 2^(bits-1). */
    public int middle() {
        return 1 << (bits - 1);
    }

    /**
     * The smallest zero point that a method chooses. Not 0 on an asymmetric grid: the first GPTQ format stores zero - 1,
     * and its readers disagree on what -1 comes back as. It costs a group without any negative weight one code.
     */
    public int lowestZero() {
        return symmetric ? middle() : 1;
    }

    public int highestZero() {
        return symmetric ? middle() : maxCode();
    }

    public int lowestCode() {
        return ternary ? middle() - 1 : 0;
    }

    public int highestCode() {
        return ternary ? middle() + 1 : maxCode();
    }

    /** The largest scale that its type stores; short of the last power of two where the type ends where floats do. */
    public float largestScale() {
        return scaleType == DType.F16 ? 65504f : 0x1p127f;
    }

    /** The magnitude that a grid with the largest scale spans. */
    public float largestWeight() {
        return (float) Math.min(0x1p127, largestScale() * (ternary ? 1.0 : maxCode() / 2.0));
    }

    /** Inputs that share a scale in a row of {@code inputs}. */
    public int groupLength(int inputs) {
        return groupSize == -1 ? inputs : groupSize;
    }

    /** Number of groups in a row of {@code inputs}. */
    public int groups(int inputs) {
        int length = groupLength(inputs);
        return (inputs + length - 1) / length;
    }
}
