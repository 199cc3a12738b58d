package quern.method;

import org.jspecify.annotations.Nullable;
import quern.scheme.IntegerGrid;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * Grids that span the range of a group's weights: the scale and zero point that the range implies, and scales as they will be
 * stored. The range of a symmetric grid is always -max|w| .. max|w|. The classic tool starts at 0 in rows without negative weights
 * and then clips half of their range, since its zero point stays in the middle.
 */
final class Ranges {
    private final Scheme scheme;
    private final float divisor;
    private final @Nullable IntegerGrid asymmetric;
    private final float reach; // what the largest weight meets
    private final float smallest;
    private final float largest;

    /** @param divisor of the weight, see {@link ScaleSearch#divisor} */
    Ranges(Scheme scheme, float divisor) {
        this.scheme = scheme;
        this.divisor = divisor;
        asymmetric = scheme.grid() instanceof IntegerGrid grid && !grid.symmetric() ? grid : null;
        smallest = switch (scheme.scaleType()) {
            case F16 -> 0x1p-24f;
            case F8_E4M3 -> 0x1p-9f;
            default -> Float.MIN_NORMAL;
        };
        largest = scheme.largestScale();
        // A scale that is a power of two leaves the largest weight between one of them and the next.
        reach = scheme.scaleType() == DType.F8_E8M0
                ? Math.scalb(1f, Math.getExponent(scheme.grid().reach()))
                : scheme.grid().reach();
    }

    /** The scale that spans low to high, of which one is at most 0 and the other at least. */
    float full(float low, float high) {
        if (low == high) {
            return full(-1, 1); // there are only zeros
        }
        return asymmetric != null ? (high - low) / asymmetric.maxCode() : Math.max(-low, high) / reach;
    }

    /** The zero point that the range implies; it may be out of bounds. */
    int middle(float low, float high, float full) {
        return scheme.symmetric() ? scheme.middle() : (int) Math.rint(-(low == high ? -1 : low) / full);
    }

    /** The nearest zero point that may be used. */
    int zero(int implied) {
        return Math.max(scheme.grid().lowestZero(), Math.min(scheme.grid().highestZero(), implied));
    }

    /** A scale as it will be stored: positive and finite. */
    float stored(float value) {
        float clamped = Math.max(smallest, Math.min(largest, value * divisor));
        return scheme.scaleType() == DType.F8_E8M0
                ? powerOfTwo(clamped)
                : HalfFloats.round(clamped, scheme.scaleType()) / divisor;
    }

    /** That of compressed-tensors: the next one below, or above from 1.75 times that on. */
    private static float powerOfTwo(float value) {
        return Float.intBitsToFloat(Float.floatToRawIntBits(value) + (1 << 21) & 0x7f800000);
    }

    /** The grids of all groups of a weight by its range, each a run of {@code length} columns. */
    Scales choose(Matrix weight, int length) {
        int inputs = weight.cols();
        Scales scales = Scales.of(weight.rows(), scheme.groups(inputs));
        float[] w = weight.values();
        for (int row = 0, at = 0; row < weight.rows(); row++) {
            for (int from = 0; from < inputs; from += length, at++) {
                int begin = row * inputs + from;
                int end = begin + Math.min(length, inputs - from);
                float high = asymmetric == null ? Matrix.largest(w, begin, end) : highest(w, begin, end);
                float low = asymmetric == null ? -high : lowest(w, begin, end);
                float full = full(low, high);
                scales.scales()[at] = stored(full);
                scales.zeros()[at] = zero(middle(low, high, full));
            }
        }
        return scales;
    }

    private static float highest(float[] w, int begin, int end) {
        float high = 0;
        for (int i = begin; i < end; i++) {
            if (w[i] > high) {
                high = w[i];
            }
        }
        return high;
    }

    private static float lowest(float[] w, int begin, int end) {
        float low = 0;
        for (int i = begin; i < end; i++) {
            if (w[i] < low) {
                low = w[i];
            }
        }
        return low;
    }
}
