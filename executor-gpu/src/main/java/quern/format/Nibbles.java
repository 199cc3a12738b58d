package quern.format;

import java.nio.ByteBuffer;

/** Codes of four bits, two a byte, where codes are places in a table and a format has its own numbers for these. */
public final class Nibbles {
    private final byte[] codeOfPlace;
    private final byte[] firstOfByte = new byte[256]; // places
    private final byte[] secondOfByte = new byte[256];
    private final int first; // where in a byte the first of two codes begins
    private final int second;

    /**
     * @param codeOfPlace the number for each place
     * @param placeOfCode 16, the place for each number
     * @param lowFirst whether the first of two codes is in the lower bits of their byte
     */
    public Nibbles(byte[] codeOfPlace, byte[] placeOfCode, boolean lowFirst) {
        this.codeOfPlace = codeOfPlace;
        first = lowFirst ? 0 : 4;
        second = 4 - first;
        for (int pair = 0; pair < 256; pair++) {
            firstOfByte[pair] = placeOfCode[pair >> first & 15];
            secondOfByte[pair] = placeOfCode[pair >> second & 15];
        }
    }

    public byte[] pack(byte[] places) {
        byte[] pairs = new byte[places.length / 2];
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] = (byte) (codeOfPlace[places[2 * i]] << first | codeOfPlace[places[2 * i + 1]] << second);
        }
        return pairs;
    }

    /** @param packed from its position on, all that remains */
    public byte[] unpack(ByteBuffer packed) {
        byte[] pairs = new byte[packed.remaining()];
        packed.get(packed.position(), pairs);
        byte[] places = new byte[Math.multiplyExact(2, pairs.length)];
        for (int i = 0; i < pairs.length; i++) {
            places[2 * i] = firstOfByte[pairs[i] & 0xff];
            places[2 * i + 1] = secondOfByte[pairs[i] & 0xff];
        }
        return places;
    }
}
