package quern.scheme;

import java.io.Serializable;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.tensor.DType;

/**
 * What the codes of a linear may mean: w = scale * (value of the code - zero), one scale and zero per group of inputs.
 *
 * @param grid what codes stand for
 * @param groupSize inputs that share a scale; -1 for the whole row
 * @param rowsOfScale rows that share a scale: 1, a number, or -1 for all
 * @param order the order of columns
 * @param scaleType the type that scales are stored in: a method chooses scales that this type represents exactly
 * @param blocks how groups are joined to blocks whose scales are multiples of one that is stored; null where each is stored
 */
public record Scheme(
        Grid grid,
        int groupSize,
        int rowsOfScale,
        ColumnOrder order,
        DType scaleType,
        @Nullable Blocks blocks) implements Serializable {
    public Scheme {
        checkGroups(groupSize);
    }

    /** With scales that are stored one by one. */
    public Scheme(Grid grid, int groupSize, int rowsOfScale, ColumnOrder order, DType scaleType) {
        this(grid, groupSize, rowsOfScale, order, scaleType, null);
    }

    /** Of integers. */
    public Scheme(int bits, int groupSize, boolean symmetric, boolean ternary, ColumnOrder order, DType scaleType) {
        this(new IntegerGrid(bits, symmetric, ternary), groupSize, 1, order, scaleType);
    }

    /** Also for a recipe, which does not know the type of its scales yet. */
    static void checkGroups(int groupSize) {
        if (groupSize != -1 && groupSize < 1) {
            throw new QuernException(
                    "Cannot use group size " + groupSize + ": it is -1 (the whole row) or a positive number");
        }
    }

    /** The same with scales of another type. */
    public Scheme with(DType scaleType) {
        return new Scheme(grid, groupSize, rowsOfScale, order, scaleType, blocks);
    }

    /** The same with its columns in another order. */
    public Scheme with(ColumnOrder order) {
        return new Scheme(grid, groupSize, rowsOfScale, order, scaleType, blocks);
    }

    /** Whether the scales of a weight have a divisor, since their type's range is too small without. */
    public boolean dividesScales() {
        return scaleType == DType.F8_E4M3;
    }

    /** Whether rows share scales. */
    public boolean sharesRows() {
        return rowsOfScale != 1;
    }

    /** Whether all rows share a scale. */
    public boolean isWhole() {
        return groupSize == -1 && rowsOfScale == -1;
    }

    /** Whether linears that share an input are to have something in common, since programs join them. */
    public boolean isJoint() {
        return dividesScales() || isWhole();
    }

    public int bits() {
        return grid.bits();
    }

    public boolean symmetric() {
        return grid.symmetric();
    }

    public int lowestCode() {
        return grid.lowestCode();
    }

    public int highestCode() {
        return grid.highestCode();
    }

    /** The zero point of a symmetric grid. */
    public int middle() {
        return grid.middle();
    }

    /** The largest scale that its type stores; short of the last power of two where the type ends where floats do. */
    public float largestScale() {
        return switch (scaleType) {
            case F16 -> 65504f;
            case F8_E4M3 -> 448f;
            default -> 0x1p127f;
        };
    }

    /** The magnitude that a grid with the largest scale spans. */
    public float largestWeight() {
        // A scale in E4M3 has a divisor of its tensor beside it.
        float scale = dividesScales() ? 0x1p127f : largestScale();
        return (float) Math.min(0x1p127, (double) scale * grid.reach());
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
