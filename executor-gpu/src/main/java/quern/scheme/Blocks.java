package quern.scheme;

import java.io.Serializable;

/**
 * Runs of groups of a row, as ggml has them: w = unit * multiple * value(code) - minimum, where the groups of a block share the
 * unit. A scale may be negative here: an even number of codes reaches one further to one side, and the sign says to which.
 *
 * @param groups groups of a block; 1 where every scale is stored by itself
 * @param lowest the smallest multiple; 0 is not used, since 1 says the same and more
 * @param highest the largest
 * @param minima whether a group has a minimum, a multiple from 0 to {@code highest} of a second unit; its zero is minimum / scale, and no
 *     whole number
 */
public record Blocks(int groups, int lowest, int highest, boolean minima) implements Serializable {
    /** Of single groups. */
    public static Blocks single(boolean minima) {
        return new Blocks(1, 1, 1, minima);
    }

    /** Blocks of a row of so many groups. */
    public int count(int groupsOfRow) {
        return groupsOfRow / groups;
    }

    /** Whether units are stored beside the multiples of scales. */
    public boolean nested() {
        return groups > 1;
    }
}
