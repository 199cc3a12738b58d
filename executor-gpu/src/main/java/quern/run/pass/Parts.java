package quern.run.pass;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.QuernException;
import quern.device.DeviceOutOfMemory;
import quern.plan.Plan;
import quern.run.workbench.Done;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;

/**
 * Parts that one task takes through a pass together, side by side: each layer's weights are loaded once for all, and the sums of their
 * Hessians stay on the device. A run of them begins at a multiple of its length, a power of two, so that what comes out does not depend on
 * how many a task takes, see {@link TreeSum}.
 *
 * @param first the number of the first, among all parts of the pass
 * @param parts in order
 */
public record Parts(int first, List<Plan.Part> parts) implements Serializable {
    private static final Logger LOG = LoggerFactory.getLogger(Parts.class);

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
        while (together < Math.min(most, parts) && (parts + 2 * together - 1) / (2 * together) >= gpus) {
            together *= 2;
        }
        return together;
    }

    /** The two runs that one of several parts is made of, each of which begins at a multiple of its length. */
    List<Parts> halves() {
        int half = Integer.highestOneBit(parts.size() - 1);
        return List.of(
                new Parts(first, parts.subList(0, half)), new Parts(first + half, parts.subList(half, parts.size())));
    }

    /** What is said where there is no memory for a single part. */
    static QuernException doesNotFit(DeviceOutOfMemory e) {
        return new QuernException("Cannot take the calibration tokens through the model: " + e.getMessage(), e);
    }

    /** A pass in runs of so many parts. */
    @FunctionalInterface
    public interface Attempt {
        void run(int together, Done<SiteManifest> done) throws IOException;
    }

    /**
     * Takes a pass anew, with half as many parts together, where the device has no memory for it, down to one: no byte of what is written
     * depends on that. {@link QuernException} where it has none for one.
     *
     * @param together a power of two
     * @param watch counts how often
     * @param done hears of each manifest once, of sites too that an attempt that failed had come to
     */
    public static void whereTheyFit(int together, Stopwatch watch, Done<SiteManifest> done, Attempt pass)
            throws IOException {
        record Solved(String plan, long site) {}
        Set<Solved> heard = new HashSet<>();
        for (int some = together; ; some /= 2) {
            try {
                pass.run(some, manifest -> {
                    if (heard.add(new Solved(manifest.plan(), manifest.key()))) {
                        done.accept(manifest);
                    }
                });
                return;
            } catch (DeviceOutOfMemory e) {
                if (some == 1) {
                    throw doesNotFit(e);
                }
                LOG.warn("{}; the pass begins anew with {} parts together and not {}", e.getMessage(), some / 2, some);
                watch.add(Squeeze.PASSES, 1);
            }
        }
    }
}
