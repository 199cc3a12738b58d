package quern.device;

/**
 * How the grid of a group of weights is found. The scale that spans their range is tried times each of some factors, with
 * each of some zero points, rounded to what will be stored; of all these the first whose round-to-nearest error is smallest
 * is taken. With low = min(0, w) and high = max(0, w) over the group, or -1 and 1 where all weights are zero,
 *
 * <pre>
 * full   = max(-low, high) / reach  if symmetric,  (high - low) / reach  if not
 * middle = {@link #middle()}        if symmetric,  rint(-low / full)     if not
 * scale  = stored(full * factor)
 * zero   = middle + shift, within lowestZero and highestZero; shift is 0, or -1 or 1 where three are tried
 * </pre>
 *
 * in float arithmetic, factors in their order for each shift in turn. {@link GridSearchLoops} is the definition to the bit.
 *
 * @param values what codes stand for
 * @param symmetric whether the range is as wide to both sides, and the zero point {@code middle}
 * @param reach what the range is divided by
 * @param middle the zero point of a symmetric grid
 * @param lowestZero smallest zero point
 * @param highestZero largest zero point
 * @param stored what scales are rounded to
 * @param measure of errors
 * @param factors in the order in which they are tried
 * @param zeros how many zero points are tried: 1 or 3
 */
public record GridSearch(
        CodeValues values,
        boolean symmetric,
        float reach,
        int middle,
        int lowestZero,
        int highestZero,
        StoredScale stored,
        Measure measure,
        float[] factors,
        int zeros) {
    /** What an error of rounding costs. */
    public enum Measure {
        /** Nothing is measured: there is one factor and one zero point. */
        NONE,
        /** |error|^2.4. */
        POWERS,
        /** importance of the column * error^2. */
        SQUARES
    }

    /** The scale that spans low to high, of which one is at most 0 and the other at least. */
    float full(float low, float high) {
        if (low == high) {
            return full(-1, 1); // there are only zeros
        }
        return (symmetric ? Math.max(-low, high) : high - low) / reach;
    }

    /** The zero point that the range implies; it may be out of bounds. */
    int middle(float low, float high, float full) {
        return symmetric ? middle : (int) Math.rint(-(low == high ? -1 : low) / full);
    }

    /** The nearest zero point that may be used. */
    int zero(int implied) {
        return Math.max(lowestZero, Math.min(highestZero, implied));
    }
}
