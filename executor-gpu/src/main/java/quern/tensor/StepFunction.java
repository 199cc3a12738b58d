package quern.tensor;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Rounds to the nearest of some values, whatever nearest means halfway. */
public final class StepFunction {
    /** Bits of a float that are left away in the largest and in the smallest table of buckets. */
    private static final int COARSEST = 23;

    private static final int FINEST = 16;

    private final float[] values;
    private final float[] thresholds;
    private final @Nullable Buckets buckets;

    /**
     * @param values in rising order
     * @param thresholds one fewer: what is above {@code thresholds[i]} goes to {@code values[i + 1]} or further
     */
    public StepFunction(float[] values, float[] thresholds) {
        this.values = values;
        this.thresholds = thresholds;
        buckets = values.length <= 256 ? Buckets.of(thresholds) : null;
    }

    /** In rising order; not to be written to. */
    public float[] values() {
        return values;
    }

    /** One fewer than values; not to be written to. */
    public float[] thresholds() {
        return thresholds;
    }

    /** The place of the value that x goes to. */
    public int place(float x) {
        if (buckets != null) {
            return buckets.place(x);
        }
        int at = Arrays.binarySearch(thresholds, x);
        return at >= 0 ? at : -1 - at;
    }

    /** The places of all x, in bytes from {@code at} on. */
    public void places(float[] x, byte[] into, int at) {
        if (buckets != null) {
            buckets.places(x, into, at);
            return;
        }
        for (int i = 0; i < x.length; i++) {
            into[at + i] = (byte) place(x[i]);
        }
    }

    /** Rounds the first {@code count} of x. */
    public void round(float[] x, int count) {
        for (int i = 0; i < count; i++) {
            x[i] = values[place(x[i])];
        }
    }

    /**
     * The upper bits of a float, in the order of floats, are its bucket; none holds more than one threshold. So two tables and one
     * comparison stand for a search.
     *
     * @param shift bits that are left away
     * @param below thresholds below each bucket
     * @param inside the threshold in each bucket, or infinity
     */
    private record Buckets(int shift, byte[] below, float[] inside) {
        /** The coarsest that hold no two thresholds; null if even the finest do. */
        static @Nullable Buckets of(float[] thresholds) {
            for (int shift = COARSEST; shift >= FINEST; shift--) {
                Buckets found = new Buckets(shift, new byte[1 << (32 - shift)], new float[1 << (32 - shift)]);
                if (found.take(thresholds)) {
                    return found;
                }
            }
            return null;
        }

        private boolean take(float[] thresholds) {
            Arrays.fill(inside, Float.POSITIVE_INFINITY);
            int next = 0;
            for (int bucket = 0; bucket < below.length; bucket++) {
                below[bucket] = (byte) next;
                if (next < thresholds.length && bucket(thresholds[next]) == bucket) {
                    inside[bucket] = thresholds[next++];
                    if (next < thresholds.length && bucket(thresholds[next]) == bucket) {
                        return false;
                    }
                }
            }
            return true;
        }

        private int bucket(float x) {
            int bits = Float.floatToRawIntBits(x);
            int ordered = bits ^ bits >> 31 & 0x7fffffff; // as floats are
            return (ordered >> shift) + (1 << (31 - shift));
        }

        void places(float[] x, byte[] into, int at) {
            for (int i = 0; i < x.length; i++) {
                into[at + i] = (byte) place(x[i]);
            }
        }

        int place(float x) {
            int bucket = bucket(x);
            return (below[bucket] & 0xff) + (x > inside[bucket] ? 1 : 0);
        }
    }
}
