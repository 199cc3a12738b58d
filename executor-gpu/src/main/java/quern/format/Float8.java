package quern.format;

import quern.scheme.LevelGrid;

/** Bytes of E4M3 as places in {@link LevelGrid#E4M3}. */
public final class Float8 {
    private static final int ZERO = (LevelGrid.E4M3.highestCode() + 1) / 2;
    private static final int NAN = 0x7f;

    private static final byte[] BYTES = new byte[256]; // by place
    private static final byte[] PLACES = new byte[256]; // by byte

    static {
        for (int place = 0; place <= LevelGrid.E4M3.highestCode(); place++) {
            int signed = place - ZERO;
            int code = signed < 0 ? -1 - signed | 0x80 : signed;
            BYTES[place] = (byte) code;
            PLACES[code] = (byte) place;
        }
    }

    private Float8() {}

    /** Bytes for places. */
    public static byte[] bytes(byte[] places) {
        byte[] bytes = new byte[places.length];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = BYTES[places[i] & 0xff];
        }
        return bytes;
    }

    /**
     * Places for bytes.
     *
     * @param stored and {@code suffix}: where they were read, for the sentence about a NaN
     */
    public static byte[] places(byte[] bytes, StoredLinear stored, String suffix) {
        byte[] places = new byte[bytes.length];
        boolean nan = false;
        for (int i = 0; i < places.length; i++) {
            nan |= (bytes[i] & NAN) == NAN;
            places[i] = PLACES[bytes[i] & 0xff];
        }
        if (nan) {
            throw stored.unreadable(suffix, "it holds NaN");
        }
        return places;
    }
}
