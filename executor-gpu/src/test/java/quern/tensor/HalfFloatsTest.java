package quern.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quern.Seeds;

/**
 * The reference here is the definition of a binary floating-point code in doubles, sign * mantissa * 2^exponent, and a
 * search for the nearest code; neither looks at a float's bits.
 */
class HalfFloatsTest {
    private static final DType[] NARROW = {DType.F16, DType.BF16, DType.F8_E4M3, DType.F8_E5M2};

    @ParameterizedTest
    @EnumSource(names = {"F16", "BF16", "F8_E4M3", "F8_E5M2"})
    void every_code_widens_to_its_definition(DType type) {
        int codes = 1 << 8 * type.bytes();
        ByteBuffer all = ByteBuffer.allocate(codes * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int code = 0; code < codes; code++) {
            put(all, type, code, code);
        }
        float[] values = HalfFloats.toFloats(all, type, codes);
        for (int code = 0; code < codes; code++) {
            assertThat((double) values[code]).as("code %04x", code).isEqualTo(Double.valueOf(value(type, code)));
        }
        assertThat(all.position()).isZero();
    }

    @ParameterizedTest
    @EnumSource(names = {"F16", "BF16", "F8_E4M3", "F8_E5M2"})
    void every_number_survives_a_round_trip_with_its_bits(DType type) {
        int codes = 1 << 8 * type.bytes();
        ByteBuffer all = ByteBuffer.allocate(codes * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int code = 0; code < codes; code++) {
            put(all, type, code, code);
        }
        ByteBuffer back = HalfFloats.fromFloats(HalfFloats.toFloats(all, type, codes), type);
        for (int code = 0; code < codes; code++) {
            int got = at(back, type, code);
            if (Double.isNaN(value(type, code))) {
                assertThat(value(type, got)).as("code %04x", code).isNaN();
            } else {
                assertThat(got).as("code %04x", code).isEqualTo(code);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F16", "BF16", "F8_E4M3", "F8_E5M2"})
    void between_neighbours_the_nearer_wins_and_a_tie_goes_to_the_even_code(DType type) {
        int finite = 0;
        while (Double.isFinite(value(type, finite + 1))) {
            finite++;
        }
        for (int code = 0; code < finite; code++) {
            double low = value(type, code);
            double high = value(type, code + 1);
            float middle = (float) ((low + high) / 2); // exact: both have at least two bits less than a float
            int even = code % 2 == 0 ? code : code + 1;
            for (int sign : new int[] {1, -1}) {
                assertThat((double) HalfFloats.round(sign * Math.nextDown(middle), type))
                        .isEqualTo(sign * low);
                assertThat((double) HalfFloats.round(sign * middle, type)).isEqualTo(sign * value(type, even));
                assertThat((double) HalfFloats.round(sign * Math.nextUp(middle), type))
                        .isEqualTo(sign * high);
            }
        }
    }

    @Test
    void what_is_too_large_is_infinite_or_in_e4m3_not_a_number() {
        assertThat(HalfFloats.round(65519.996f, DType.F16)).isEqualTo(65504f);
        assertThat(HalfFloats.round(65520f, DType.F16)).isEqualTo(Float.POSITIVE_INFINITY);
        assertThat(HalfFloats.round(-Float.MAX_VALUE, DType.BF16)).isEqualTo(Float.NEGATIVE_INFINITY);
        assertThat(HalfFloats.round(464f, DType.F8_E4M3)).isEqualTo(448f);
        assertThat(HalfFloats.round(464.1f, DType.F8_E4M3)).isNaN();
        assertThat(HalfFloats.round(Float.POSITIVE_INFINITY, DType.F8_E4M3)).isNaN();
        assertThat(HalfFloats.round(61439f, DType.F8_E5M2)).isEqualTo(57344f);
        assertThat(HalfFloats.round(61440f, DType.F8_E5M2)).isEqualTo(Float.POSITIVE_INFINITY);
        for (DType type : NARROW) {
            assertThat(HalfFloats.round(Float.NaN, type)).isNaN();
            assertThat(HalfFloats.round(Float.intBitsToFloat(0x7f800001), type)).isNaN();
            assertThat(1 / HalfFloats.round(-0f, type)).isEqualTo(Float.NEGATIVE_INFINITY);
            assertThat(1 / HalfFloats.round(-Float.MIN_VALUE, type)).isEqualTo(Float.NEGATIVE_INFINITY);
        }
    }

    @Test
    void integers_and_doubles_round_as_their_exact_values() {
        long seed = Seeds.seed();
        Random random = new Random(seed);
        int n = 10_000;
        ByteBuffer bytes = ByteBuffer.allocateDirect(8 * n).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < n; i++) {
            bytes.putLong(8 * i, random.nextLong() >> random.nextInt(64));
        }
        float[] i64 = HalfFloats.toFloats(bytes, DType.I64, n);
        float[] u64 = HalfFloats.toFloats(bytes, DType.U64, n);
        float[] i32 = HalfFloats.toFloats(bytes, DType.I32, 2 * n);
        float[] u32 = HalfFloats.toFloats(bytes, DType.U32, 2 * n);
        float[] i16 = HalfFloats.toFloats(bytes, DType.I16, 4 * n);
        float[] u16 = HalfFloats.toFloats(bytes, DType.U16, 4 * n);
        float[] i8 = HalfFloats.toFloats(bytes, DType.I8, 8 * n);
        float[] u8 = HalfFloats.toFloats(bytes, DType.U8, 8 * n);
        float[] bool = HalfFloats.toFloats(bytes, DType.BOOL, 8 * n);
        for (int i = 0; i < n; i++) {
            BigInteger exact = BigInteger.valueOf(bytes.getLong(8 * i));
            assertThat(i64[i]).isEqualTo(new BigDecimal(exact).floatValue());
            assertThat(u64[i]).isEqualTo(new BigInteger(Long.toUnsignedString(bytes.getLong(8 * i))).floatValue());
            assertThat(i32[i]).isEqualTo((float) bytes.getInt(4 * i));
            assertThat(u32[i]).isEqualTo((float) Integer.toUnsignedLong(bytes.getInt(4 * i)));
            assertThat(i16[i]).isEqualTo((float) bytes.getShort(2 * i));
            assertThat(u16[i]).isEqualTo((float) Short.toUnsignedInt(bytes.getShort(2 * i)));
            assertThat(i8[i]).isEqualTo((float) bytes.get(i));
            assertThat(u8[i]).isEqualTo((float) Byte.toUnsignedInt(bytes.get(i)));
            assertThat(bool[i]).isEqualTo(bytes.get(i) == 0 ? 0f : 1f);
        }
        // Just above the middle of two floats, by a bit that halving would lose.
        bytes.putLong(0, Long.MIN_VALUE + (1L << 39) + 1);
        assertThat(HalfFloats.toFloats(bytes, DType.U64, 1)).containsExactly(0x1.000002p63f);
        ByteBuffer doubles =
                ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putDouble(0, Math.PI);
        assertThat(HalfFloats.toFloats(doubles, DType.F64, 1)).containsExactly((float) Math.PI);
    }

    @Test
    void bulk_reads_from_the_position_into_the_middle_whatever_the_order_says() {
        ByteBuffer bytes = ByteBuffer.allocate(10).order(ByteOrder.BIG_ENDIAN).position(2);
        bytes.put(new byte[] {0, 0x3c, 0, 0x40, 0, (byte) 0xc0}).position(2); // 1, 2, -2
        float[] into = {9, 9, 9, 9, 9};
        HalfFloats.toFloats(bytes, DType.F16, into, 1, 3);
        assertThat(into).containsExactly(9, 1, 2, -2, 9);
        assertThat(bytes.position()).isEqualTo(2);
        assertThatThrownBy(() -> HalfFloats.toFloats(bytes, DType.F16, 5)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> HalfFloats.toFloats(bytes, DType.F16, into, 3, 3))
                .isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> HalfFloats.fromFloats(into, DType.I32)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void long_arrays_pass_through_every_chunk() {
        float[] values = new float[3 * 4096 + 17];
        for (int i = 0; i < values.length; i++) {
            values[i] = i % 256 - 128;
        }
        for (DType type : new DType[] {DType.F64, DType.F32, DType.F16, DType.BF16}) {
            ByteBuffer bytes = HalfFloats.fromFloats(values, type);
            assertThat(bytes.remaining()).isEqualTo(values.length * type.bytes());
            assertThat(HalfFloats.toFloats(bytes, type, values.length)).isEqualTo(values);
        }
    }

    /** The value of a code by the definition of its type. */
    private static double value(DType type, int code) {
        int mantissaBits = switch (type) {
            case F16 -> 10;
            case BF16 -> 7;
            case F8_E4M3 -> 3;
            default -> 2;
        };
        int exponentBits = 8 * type.bytes() - 1 - mantissaBits;
        int mantissa = code % (1 << mantissaBits);
        int exponent = code / (1 << mantissaBits) % (1 << exponentBits);
        int sign = code / (1 << (mantissaBits + exponentBits)) == 0 ? 1 : -1;
        int bias = (1 << exponentBits) / 2 - 1;
        boolean top = exponent == (1 << exponentBits) - 1;
        if (type == DType.F8_E4M3) {
            if (top && mantissa == 7) {
                return Double.NaN;
            }
        } else if (top) {
            return mantissa == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
        }
        double fraction = mantissa / (double) (1 << mantissaBits);
        return exponent == 0
                ? sign * fraction * Math.pow(2, 1 - bias)
                : sign * (1 + fraction) * Math.pow(2, exponent - bias);
    }

    private static void put(ByteBuffer bytes, DType type, int index, int code) {
        if (type.bytes() == 1) {
            bytes.put(index, (byte) code);
        } else {
            bytes.putShort(2 * index, (short) code);
        }
    }

    private static int at(ByteBuffer bytes, DType type, int index) {
        return type.bytes() == 1 ? bytes.get(index) & 0xff : bytes.getShort(2 * index) & 0xffff;
    }
}
