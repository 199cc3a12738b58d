package quern.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * Between floats and the element types of files. Narrowing rounds to nearest, ties to even. What is too large becomes
 * infinite, and NaN in {@code F8_E4M3}, which has no infinity: who wants saturation clamps first. Both 8-bit types are
 * those of the OCP 8-bit floating point specification 1.0; {@code F8_E4M3} ends at 448, {@code F8_E5M2} at 57344.
 *
 * <p>Buffers are read from their position, as little-endian whatever their order says, and neither is changed.
 */
public final class HalfFloats {
    /** Elements that are copied out of a buffer at a time: the copy stays in the first-level cache. */
    private static final int CHUNK = 4096;

    private static final float[] E4M3 = table(DType.F8_E4M3);
    private static final float[] E5M2 = table(DType.F8_E5M2);

    private HalfFloats() {}

    /** {@code count} elements as floats. {@code U64}, {@code I64}, {@code F64} and 32-bit integers are rounded. */
    public static float[] toFloats(ByteBuffer littleEndian, DType from, int count) {
        float[] values = new float[count];
        toFloats(littleEndian, from, values, 0, count);
        return values;
    }

    /** {@code count} elements as floats, written to {@code into} from {@code at} on. */
    public static void toFloats(ByteBuffer littleEndian, DType from, float[] into, int at, int count) {
        Objects.checkFromIndexSize(at, count, into.length);
        if ((long) count * from.bytes() > littleEndian.remaining()) {
            throw new IllegalArgumentException(count + " elements of " + from + " need " + (long) count * from.bytes()
                    + " bytes, the buffer has " + littleEndian.remaining());
        }
        ByteBuffer source = littleEndian.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        switch (from) {
            case F32 -> source.asFloatBuffer().get(into, at, count);
            case F16, BF16, I16, U16 -> widenShorts(source, from, into, at, count);
            case F8_E4M3, F8_E5M2, F8_E8M0, I8, U8, BOOL -> widenBytes(source, from, into, at, count);
            case F64, I64, I32, U64, U32 -> widenWide(source, from, into, at, count);
        }
    }

    /** The values in a floating-point type, rounded; a direct little-endian buffer at position 0. */
    public static ByteBuffer fromFloats(float[] values, DType to) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.multiplyExact(values.length, to.bytes()))
                .order(ByteOrder.LITTLE_ENDIAN);
        switch (to) {
            case F32 -> bytes.asFloatBuffer().put(values);
            case F64 -> {
                for (int i = 0; i < values.length; i++) {
                    bytes.putDouble(i * 8, values[i]);
                }
            }
            case F16, BF16 -> {
                var target = bytes.asShortBuffer();
                short[] chunk = new short[Math.min(CHUNK, values.length)];
                for (int i = 0; i < values.length; i += CHUNK) {
                    int n = Math.min(CHUNK, values.length - i);
                    if (to == DType.F16) {
                        for (int j = 0; j < n; j++) {
                            chunk[j] = toF16(values[i + j]);
                        }
                    } else {
                        for (int j = 0; j < n; j++) {
                            chunk[j] = toBf16(values[i + j]);
                        }
                    }
                    target.put(chunk, 0, n);
                }
            }
            case F8_E4M3, F8_E5M2 -> {
                for (int i = 0; i < values.length; i++) {
                    bytes.put(i, to == DType.F8_E4M3 ? toF8E4M3(values[i]) : toF8E5M2(values[i]));
                }
            }
            case F8_E8M0 -> {
                for (int i = 0; i < values.length; i++) {
                    bytes.put(i, (byte)
                            (Math.getExponent(values[i]) + 127)); // what is no power of two loses its mantissa
                }
            }
            default -> throw notFloat(to);
        }
        return bytes;
    }

    /** The value that is left of {@code value} after it was stored in {@code type}. */
    public static float round(float value, DType type) {
        return switch (type) {
            case F64, F32 -> value;
            case F16 -> fromF16(toF16(value));
            case BF16 -> fromBf16(toBf16(value));
            case F8_E4M3 -> E4M3[toF8E4M3(value) & 0xff];
            case F8_E5M2 -> E5M2[toF8E5M2(value) & 0xff];
            default -> throw notFloat(type);
        };
    }

    public static float fromBf16(short code) {
        return Float.intBitsToFloat(code << 16);
    }

    public static short toBf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return (short) (bits >>> 16 | 0x40); // NaN, made quiet: the payload's upper bits could all be zero
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    public static float fromF16(short code) {
        // As if the exponent had float's bias: 2^112 puts that right, exactly, for subnormals too.
        float magnitude = Float.intBitsToFloat((code & 0x7fff) << 13) * 0x1p112f;
        int bits = Float.floatToRawIntBits(magnitude) | (code & 0x8000) << 16;
        return Float.intBitsToFloat(magnitude >= 65536f ? bits | 0x7f800000 : bits);
    }

    public static short toF16(float value) {
        return (short) narrow(value, 5, 10, 0x7c00, 0x7c00);
    }

    public static float fromF8E4M3(byte code) {
        return E4M3[code & 0xff];
    }

    public static byte toF8E4M3(float value) {
        return (byte) narrow(value, 4, 3, 0x7f, 0x7f);
    }

    public static float fromF8E5M2(byte code) {
        return E5M2[code & 0xff];
    }

    public static float fromF8E8M0(byte code) {
        return Math.scalb(1f, (code & 0xff) - 127); // infinite for 255, which is NaN
    }

    public static byte toF8E5M2(float value) {
        return (byte) narrow(value, 5, 2, 0x7c, 0x7c);
    }

    /**
     * Sign, {@code e} exponent bits, {@code m} mantissa bits. Codes from {@code overflow} on are not numbers;
     * {@code nan} is what the bits of a NaN are or-ed with.
     */
    private static int narrow(float value, int e, int m, int overflow, int nan) {
        int bits = Float.floatToRawIntBits(value);
        int sign = bits >>> 31 << (e + m);
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return sign | nan | 1 << (m - 1) | (magnitude & 0x7fffff) >>> (23 - m);
        }
        int bias = (1 << (e - 1)) - 1;
        if (magnitude < (128 - bias) << 23) {
            // Subnormal: one unit in the last place of `unit` is the smallest code, so the adder rounds for us.
            float unit = Float.intBitsToFloat((127 + 23 + 1 - bias - m) << 23);
            return sign
                    | Float.floatToRawIntBits(Float.intBitsToFloat(magnitude) + unit) - Float.floatToRawIntBits(unit);
        }
        int shift = 23 - m;
        int rounded = magnitude + (1 << (shift - 1)) - 1 + (magnitude >>> shift & 1);
        return sign | Math.min((rounded >>> shift) - ((127 - bias) << m), overflow);
    }

    private static void widenShorts(ByteBuffer source, DType from, float[] into, int at, int count) {
        var shorts = source.asShortBuffer();
        short[] chunk = new short[Math.min(CHUNK, count)];
        for (int i = 0; i < count; i += CHUNK) {
            int n = Math.min(CHUNK, count - i);
            int start = at + i;
            shorts.get(chunk, 0, n);
            switch (from) {
                case BF16 -> {
                    for (int j = 0; j < n; j++) {
                        into[start + j] = Float.intBitsToFloat(chunk[j] << 16);
                    }
                }
                case F16 -> {
                    for (int j = 0; j < n; j++) {
                        into[start + j] = fromF16(chunk[j]);
                    }
                }
                case I16 -> {
                    for (int j = 0; j < n; j++) {
                        into[start + j] = chunk[j];
                    }
                }
                default -> {
                    for (int j = 0; j < n; j++) {
                        into[start + j] = chunk[j] & 0xffff;
                    }
                }
            }
        }
    }

    private static void widenBytes(ByteBuffer source, DType from, float[] into, int at, int count) {
        int start = source.position();
        for (int i = 0; i < count; i++) {
            byte code = source.get(start + i);
            into[at + i] = switch (from) {
                case F8_E4M3 -> E4M3[code & 0xff];
                case F8_E5M2 -> E5M2[code & 0xff];
                case F8_E8M0 -> fromF8E8M0(code);
                case I8 -> code;
                case BOOL -> code == 0 ? 0 : 1;
                default -> code & 0xff;
            };
        }
    }

    private static void widenWide(ByteBuffer source, DType from, float[] into, int at, int count) {
        int start = source.position();
        for (int i = 0; i < count; i++) {
            int p = start + i * from.bytes();
            into[at + i] = switch (from) {
                case F64 -> (float) source.getDouble(p);
                case I64 -> source.getLong(p);
                case I32 -> source.getInt(p);
                case U32 -> source.getInt(p) & 0xffffffffL;
                default -> unsigned(source.getLong(p));
            };
        }
    }

    private static float unsigned(long value) {
        // Half of it, with the bit that is lost kept sticky so that the rounding is the same.
        return value >= 0 ? value : (value >>> 1 | value & 1) * 2f;
    }

    /** The 256 values of an 8-bit type, from its definition. */
    private static float[] table(DType type) {
        int m = type == DType.F8_E4M3 ? 3 : 2;
        int bias = type == DType.F8_E4M3 ? 7 : 15;
        float[] table = new float[256];
        for (int code = 0; code < 256; code++) {
            int exponent = (code & 0x7f) >>> m;
            int mantissa = code & (1 << m) - 1;
            float value = exponent == 0
                    ? Math.scalb((float) mantissa, 1 - bias - m)
                    : Math.scalb((float) (mantissa | 1 << m), exponent - bias - m);
            if (type == DType.F8_E4M3 ? (code & 0x7f) == 0x7f : exponent == 31) {
                value = type == DType.F8_E5M2 && mantissa == 0 ? Float.POSITIVE_INFINITY : Float.NaN;
            }
            table[code] = (code & 0x80) == 0 ? value : -value;
        }
        return table;
    }

    private static IllegalArgumentException notFloat(DType type) {
        return new IllegalArgumentException(type + " is not a floating-point type");
    }
}
