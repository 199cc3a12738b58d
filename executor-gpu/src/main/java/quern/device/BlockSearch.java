package quern.device;

/**
 * How the grids of blocks are found, runs of groups of a row as ggml has them: what each group's scale is, and where they are multiples of
 * a unit, that as well. {@link BlockSearchLoops} is the definition to the bit.
 *
 * @param values what codes stand for
 * @param half what code 0 of a grid without minima lies below zero: codes reach from -half to half - 1. 0 with minima and with levels
 * @param length columns of a group
 * @param groups groups of a block; 1 where every scale is stored by itself
 * @param lowest the smallest multiple
 * @param highest the largest
 * @param minima whether a group has a minimum, in whose place the grids have the zero minimum / scale
 */
public record BlockSearch(
        CodeValues values, int half, int length, int groups, int lowest, int highest, boolean minima) {
    /** Columns of a block. */
    public int size() {
        return length * groups;
    }

    /** Whether scales are multiples of a unit. */
    public boolean nested() {
        return groups > 1;
    }

    /** Whether the importance of an input is weighed with the squares of a whole row, not of a block. */
    public boolean weighsByRow() {
        return !nested() && values.levels() == null;
    }
}
