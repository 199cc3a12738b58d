package quern.format;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Codes of 2, 3, 4 or 8 bits as a stream of bits in 32-bit words: code i of a row stands at bits [bits * i, bits * i + bits)
 * of the row's stream, bit 0 is the lowest bit of the first word, the rest of the last word is zero. GPTQ and
 * compressed-tensors both store this stream; they differ in the axis that it runs along, hence {@link #transposeWords}.
 *
 * <p>Eight codes fill a whole number of bytes for every width, so eight codes are moved at a time, in one register.
 */
public final class BitPacking {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    /** Words of a side of a square that is transposed at a time: both squares stay in the first-level cache. */
    private static final int TILE = 32;

    private BitPacking() {}

    /** Words that {@code codes} codes fill. */
    public static int words(int codes, int bits) {
        return Math.toIntExact(((long) codes * bits + 31) / 32);
    }

    /**
     * Packs each row by itself.
     *
     * @param codes rows x cols, each an unsigned number of {@code bits} bits
     * @return rows x {@link #words words(cols, bits)}, a heap buffer in little-endian order at position 0
     * @throws IllegalArgumentException for a code that does not fit
     */
    public static ByteBuffer packRows(byte[] codes, int rows, int cols, int bits) {
        check(codes.length, rows, cols, bits);
        int stride = 4 * words(cols, bits);
        byte[] packed = new byte[Math.multiplyExact(rows, stride)];
        byte[] row = new byte[cols + 8];
        byte[] stream = new byte[stride + 16];
        int gap = 8 - bits;
        long codeMask = mask(bits, 8);
        long pairMask = mask(2 * bits, 4);
        long fourMask = mask(4 * bits, 2);
        long excess = 0;
        for (int r = 0; r < rows; r++) {
            System.arraycopy(codes, r * cols, row, 0, cols);
            for (int i = 0, at = 0; i < cols; i += 8, at += bits) {
                long eight = (long) LONGS.get(row, i);
                excess |= eight & ~codeMask;
                // Also writes zeros behind the eight codes, where the next ones will come.
                LONGS.set(stream, at, squeeze(eight, gap, pairMask, fourMask));
            }
            System.arraycopy(stream, 0, packed, r * stride, stride);
        }
        if (excess != 0) {
            throw new IllegalArgumentException("A code does not fit in " + bits + " bits");
        }
        return ByteBuffer.wrap(packed).order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * Reads {@link #packRows} back.
     *
     * @param packed rows x words(cols, bits) little-endian words from the buffer's position on
     * @return rows x cols codes
     */
    public static byte[] unpackRows(ByteBuffer packed, int rows, int cols, int bits) {
        byte[] codes = new byte[Math.multiplyExact(rows, cols)];
        check(codes.length, rows, cols, bits);
        int stride = 4 * words(cols, bits);
        byte[] row = new byte[cols + 8];
        byte[] stream = new byte[stride + 16];
        int gap = 8 - bits;
        long codeMask = mask(bits, 8);
        long pairMask = mask(2 * bits, 4);
        long fourMask = mask(4 * bits, 2);
        for (int r = 0; r < rows; r++) {
            packed.get(packed.position() + r * stride, stream, 0, stride);
            for (int i = 0, at = 0; i < cols; i += 8, at += bits) {
                LONGS.set(row, i, spread((long) LONGS.get(stream, at), gap, codeMask, pairMask, fourMask));
            }
            System.arraycopy(row, 0, codes, r * cols, cols);
        }
        return codes;
    }

    /**
     * @param words rows x cols 32-bit words from the buffer's position on
     * @return cols x rows words, a heap buffer in little-endian order at position 0
     */
    public static ByteBuffer transposeWords(ByteBuffer words, int rows, int cols) {
        ByteBuffer from = words.slice().order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer to = ByteBuffer.allocate(Math.multiplyExact(4 * rows, cols)).order(ByteOrder.LITTLE_ENDIAN);
        for (int r0 = 0; r0 < rows; r0 += TILE) {
            for (int c0 = 0; c0 < cols; c0 += TILE) {
                int rEnd = Math.min(rows, r0 + TILE);
                int cEnd = Math.min(cols, c0 + TILE);
                for (int c = c0; c < cEnd; c++) {
                    for (int r = r0; r < rEnd; r++) {
                        to.putInt(4 * (c * rows + r), from.getInt(4 * (r * cols + c)));
                    }
                }
            }
        }
        return to;
    }

    /** A rows x cols matrix of bytes as cols x rows. */
    public static byte[] transpose(byte[] values, int rows, int cols) {
        byte[] to = new byte[values.length];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                to[c * rows + r] = values[r * cols + c];
            }
        }
        return to;
    }

    /** A rows x cols matrix of floats as cols x rows. */
    public static float[] transpose(float[] values, int rows, int cols) {
        float[] to = new float[values.length];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < cols; c++) {
                to[c * rows + r] = values[r * cols + c];
            }
        }
        return to;
    }

    /** Eight codes, one per byte, to the lowest 8 * bits bits: pairs are joined, then pairs of pairs, then those. */
    private static long squeeze(long eight, int gap, long pairMask, long fourMask) {
        long pairs = (eight | eight >>> gap) & pairMask;
        long fours = (pairs | pairs >>> 2 * gap) & fourMask;
        return gap == 0 ? fours : (fours | fours >>> 4 * gap) & ~(-1L << 64 - 8 * gap);
    }

    /** The reverse of {@link #squeeze}; bits above the lowest 8 * bits are ignored. */
    private static long spread(long stream, int gap, long codeMask, long pairMask, long fourMask) {
        long all = gap == 0 ? stream : stream & ~(-1L << 64 - 8 * gap);
        long fours = (all | all << 4 * gap) & fourMask;
        long pairs = (fours | fours << 2 * gap) & pairMask;
        return (pairs | pairs << gap) & codeMask;
    }

    /** {@code lanes} lanes of equal width over 64 bits, each with its lowest {@code ones} bits set. */
    private static long mask(int ones, int lanes) {
        int width = 64 / lanes;
        long lane = (1L << ones) - 1;
        long mask = 0;
        for (int i = 0; i < lanes; i++) {
            mask |= lane << i * width;
        }
        return mask;
    }

    private static void check(int length, int rows, int cols, int bits) {
        if (length != (long) rows * cols) {
            throw new IllegalArgumentException(length + " codes are not " + rows + " x " + cols);
        }
        if (bits != 2 && bits != 3 && bits != 4 && bits != 8) {
            throw new IllegalArgumentException("Codes of " + bits + " bits are not packed");
        }
    }
}
