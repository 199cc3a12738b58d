package quern.run.pass;

import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The statistics of a site over several parts, on the device: those of a part grow batch by batch, and the parts' are added up as
 * {@link TreeSum} says.
 */
final class PartsStatistics implements AutoCloseable {
    /** Hears of each part's own when they are complete. */
    interface OfPart {
        void complete(int part, GrowingStatistics own);
    }

    private final Supplier<GrowingStatistics> fresh;
    private final OfPart listener;
    private final TreeSum<GrowingStatistics> sum = new TreeSum<>((a, b) -> {
        a.add(b);
        b.close();
        return a;
    });
    private int part = -1;
    private @Nullable GrowingStatistics growing; // of the part

    PartsStatistics(Supplier<GrowingStatistics> fresh, OfPart listener) {
        this.fresh = fresh;
        this.listener = listener;
    }

    /**
     * A part's own, which go on growing.
     *
     * @param number of the part, no smaller than any before
     */
    GrowingStatistics of(int number) {
        if (number != part) {
            completed();
            part = number;
        }
        GrowingStatistics own = growing == null ? fresh.get() : growing;
        growing = own;
        return own;
    }

    /** A part's as a whole. */
    void add(int number, GrowingStatistics own) {
        sum.add(number, own);
    }

    private void completed() {
        GrowingStatistics own = growing;
        if (own != null) {
            growing = null;
            listener.complete(part, own);
            sum.add(part, own);
        }
    }

    /** Of all parts; the caller's to close. Null if nothing was added. */
    @Nullable
    GrowingStatistics take() {
        completed();
        return sum.take();
    }

    @Override
    public void close() {
        GrowingStatistics rest = take();
        if (rest != null) {
            rest.close();
        }
    }
}
