package quern.format;

import quern.scheme.LevelGrid;

/** Bytes of E4M3 as places in {@link LevelGrid#E4M3}. */
public final class Float8 {
    private static final int ZERO = (LevelGrid.E4M3.highestCode() + 1) / 2;
    private static final int NAN = 0x7f;

    private Float8() {}

    public static byte byteOfPlace(byte place) {
        int signed = (place & 0xff) - ZERO;
        return (byte) (signed < 0 ? -1 - signed | 0x80 : signed);
    }

    /** @param stored and {@code suffix}: where it was read, for the sentence about a NaN */
    public static byte place(byte code, StoredLinear stored, String suffix) {
        int magnitude = code & NAN;
        if (magnitude == NAN) {
            throw stored.unreadable(suffix, "it holds NaN");
        }
        return (byte) (code < 0 ? ZERO - 1 - magnitude : ZERO + magnitude);
    }
}
