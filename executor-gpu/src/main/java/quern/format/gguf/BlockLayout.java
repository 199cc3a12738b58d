package quern.format.gguf;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Where the fields of a block of ggml's lie: the {@code struct}s of its {@code ggml-common.h}, bit by bit.
 *
 * @param unit the byte of the scale, or of the unit that scales are multiples of; F16
 * @param minimum the byte of the minimum, or of its unit; F16, or -1
 * @param code the bits of code i
 * @param scale the bits of the multiple of group g
 * @param minimumMultiple the bits of that of its minimum
 * @param signBit of codes and multiples that are stored as numbers with a sign, and counted from the lowest everywhere else; 0 of others
 */
record BlockLayout(int unit, int minimum, Bits code, Bits scale, Bits minimumMultiple, int signBit) {
    private static final Bits NONE = new Bits();

    static final BlockLayout Q4_0 = new BlockLayout(0, -1, new Bits().and(4, i -> nibble(2, i)));
    static final BlockLayout Q4_1 = new BlockLayout(0, 2, new Bits().and(4, i -> nibble(4, i)));
    static final BlockLayout Q5_0 =
            new BlockLayout(0, -1, new Bits().and(4, i -> nibble(6, i)).and(1, i -> 8 * 2 + i));
    static final BlockLayout Q5_1 =
            new BlockLayout(0, 2, new Bits().and(4, i -> nibble(8, i)).and(1, i -> 8 * 4 + i));
    static final BlockLayout Q8_0 = new BlockLayout(0, -1, new Bits().and(8, i -> 8 * (2 + i)), NONE, NONE, 0x80);
    static final BlockLayout Q2_K = new BlockLayout(
            80,
            82,
            new Bits().and(2, i -> pair(16, i)),
            new Bits().and(4, g -> 8 * g),
            new Bits().and(4, g -> 8 * g + 4),
            0);
    static final BlockLayout Q3_K = new BlockLayout(
            108,
            -1,
            new Bits().and(2, i -> pair(32, i)).and(1, i -> 8 * (i % 32) + i / 32),
            new Bits().and(4, g -> 8 * (96 + g % 8) + 4 * (g / 8)).and(2, g -> 8 * (104 + g % 4) + 2 * (g / 4)),
            NONE,
            0);
    static final BlockLayout Q4_K =
            new BlockLayout(0, 2, new Bits().and(4, i -> half(16, i)), sixBits(4, 0), sixBits(4, 4), 0);
    static final BlockLayout Q5_K = new BlockLayout(
            0,
            2,
            new Bits().and(4, i -> half(48, i)).and(1, i -> 8 * (16 + i % 32) + i / 32),
            sixBits(4, 0),
            sixBits(4, 4),
            0);
    static final BlockLayout Q6_K = new BlockLayout(
            208,
            -1,
            new Bits()
                    .and(4, i -> 8 * (64 * (i / 128) + i % 64) + 4 * (i % 128 / 64))
                    .and(2, i -> pair(128, i)),
            new Bits().and(8, g -> 8 * (192 + g)),
            NONE,
            0x80);
    static final BlockLayout IQ4_NL = new BlockLayout(0, -1, new Bits().and(4, i -> nibble(2, i)));
    static final BlockLayout IQ4_XS = new BlockLayout(
            0,
            -1,
            new Bits().and(4, i -> nibble(8 + 16 * (i / 32), i % 32)),
            new Bits().and(4, g -> 8 * 4 + 4 * g).and(2, g -> 8 * 2 + 2 * g),
            NONE,
            0);

    BlockLayout(int unit, int minimum, Bits code) {
        this(unit, minimum, code, NONE, NONE, 0);
    }

    /** 32 values in 16 bytes, the first 16 in the lower halves. */
    private static int nibble(int from, int i) {
        return 8 * (from + i % 16) + 4 * (i / 16);
    }

    /** 128 values in 32 bytes, 32 in the same two bits. */
    private static int pair(int from, int i) {
        return 8 * (from + 32 * (i / 128) + i % 32) + 2 * (i % 128 / 32);
    }

    /** 64 values in 32 bytes, the first 32 in the lower halves. */
    private static int half(int from, int i) {
        return 8 * (from + 32 * (i / 64) + i % 32) + 4 * (i % 64 / 32);
    }

    /**
     * Eight numbers of twelve bytes: four in the lower six bits of four bytes, four in halves of the last four bytes, with their upper bits
     * above the first.
     *
     * @param first of the four bytes, counted from {@code from}: minima lie behind scales
     */
    private static Bits sixBits(int from, int first) {
        int behind = 8 * (from + 4) + first; // a half is as many bits as there are bytes before the minima
        int before = 8 * (from + first);
        return new Bits()
                .and(4, g -> g < 4 ? before + 8 * g : behind + 8 * g)
                .and(2, g -> before + (g < 4 ? 8 * g + 4 : 8 * (g - 4) + 6));
    }

    /** The places of numbers that are cut into pieces, the lowest bits first. */
    static final class Bits {
        private static final int MOST = 256;

        private int[][] places = {};
        private int[] widths = {};

        /** The next so many bits of number i begin at this bit of the block. */
        Bits and(int width, IntUnaryOperator place) {
            Bits more = new Bits();
            more.places = Arrays.copyOf(places, places.length + 1);
            more.places[places.length] = IntStream.range(0, MOST).map(place).toArray();
            more.widths = Arrays.copyOf(widths, widths.length + 1);
            more.widths[widths.length] = width;
            return more;
        }

        /** @param block where the block begins; its bytes are zero, or hold other numbers */
        void put(ByteBuffer bytes, int block, int i, int number) {
            int rest = number;
            for (int piece = 0; piece < widths.length; piece++) {
                int place = places[piece][i];
                int at = block + (place >> 3);
                bytes.put(at, (byte) (bytes.get(at) | (rest & (1 << widths[piece]) - 1) << (place & 7)));
                rest >>>= widths[piece];
            }
        }

        int get(ByteBuffer bytes, int block, int i) {
            int number = 0;
            int shift = 0;
            for (int piece = 0; piece < widths.length; piece++) {
                int place = places[piece][i];
                number |= ((bytes.get(block + (place >> 3)) & 0xff) >> (place & 7) & (1 << widths[piece]) - 1) << shift;
                shift += widths[piece];
            }
            return number;
        }
    }
}
