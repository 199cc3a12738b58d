package quern.run;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import quern.plan.Plan;

/**
 * Parts that one task takes through a pass together, side by side: each layer's weights are loaded once for all, and the sums of their
 * Hessians stay on the device. A run of them begins at a multiple of its length, a power of two, so that what comes out does not depend on
 * how many a task takes, see {@link TreeSum}.
 *
 * @param first the number of the first, among all parts of the pass
 * @param parts in order
 */
public record Parts(int first, List<Plan.Part> parts) implements Serializable {
    public Parts {
        parts = List.copyOf(parts);
    }

    /** @param together how many a task takes: a power of two */
    public static List<Parts> cut(List<Plan.Part> parts, int together) {
        if (Integer.bitCount(together) != 1) {
            throw new IllegalArgumentException(together + " is no power of two");
        }
        List<Parts> runs = new ArrayList<>();
        for (int first = 0; first < parts.size(); first += together) {
            int end = Math.min(parts.size(), first + together);
            runs.add(new Parts(first, parts.subList(first, end)));
        }
        return List.copyOf(runs);
    }

    /**
     * How many parts a task should take: as many as leave each GPU something to do, and no more than its memory holds.
     *
     * @param most that its memory holds, a power of two
     * @param parts of the pass
     * @param gpus for the pass
     */
    public static int together(int most, int parts, int gpus) {
        int together = 1;
        while (together < most && (parts + 2 * together - 1) / (2 * together) >= gpus) {
            together *= 2;
        }
        return together;
    }
}
