package quern.device;

import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * How scales are stored: |s * divisor|, held between {@code smallest} and {@code largest} and rounded to {@code type}. To
 * {@code F8_E8M0} that is the power of two below, or the one above from 1.75 times that on.
 *
 * @param type F32, BF16, F16, F8_E4M3 or F8_E8M0
 * @param divisor 1 but for types whose range is too small without
 * @param smallest positive
 * @param largest finite
 * @param signed whether a scale may be negative
 */
public record StoredScale(DType type, float divisor, float smallest, float largest, boolean signed) {
    /** A scale as it will be read again: finite and not zero; positive, but of a negative value where scales have a sign. */
    public float stored(float value) {
        return signed && value < 0 ? -magnitude(-value) : magnitude(value);
    }

    private float magnitude(float value) {
        float clamped = Math.max(smallest, Math.min(largest, value * divisor));
        return type == DType.F8_E8M0 ? powerOfTwo(clamped) : HalfFloats.round(clamped, type) / divisor;
    }

    private static float powerOfTwo(float value) {
        return Float.intBitsToFloat(Float.floatToRawIntBits(value) + (1 << 21) & 0x7f800000);
    }

    /** The scale nearest to {@code value} that a group may have; NaN where none is near. */
    public float nearest(float value) {
        return signed || value > 0 ? stored(value) : Float.NaN;
    }
}
