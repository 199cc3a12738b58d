package quern.calibration;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/**
 * Sequences of tokens of one length.
 *
 * @param windows token ids, each of {@code length}; not to be written to
 * @param length tokens of a window
 * @param sha256 the first 16 hexadecimal digits of the SHA-256 over all ids in order as little-endian int32: two runs with
 *     the same hash saw the same tokens
 * @param source where the text came from and what was left out, for the report
 */
public record TokenWindows(List<int[]> windows, int length, String sha256, String source) {
    public TokenWindows {
        windows = List.copyOf(windows);
        for (int[] window : windows) {
            if (window.length != length) {
                throw new IllegalArgumentException("A window of " + window.length + " tokens instead of " + length);
            }
        }
    }

    /** Cuts ids into consecutive windows; a tail shorter than a window is dropped. */
    static TokenWindows cut(int[] ids, int length, String source) {
        List<int[]> windows = new ArrayList<>();
        for (int at = 0; at + length <= ids.length; at += length) {
            windows.add(Arrays.copyOfRange(ids, at, at + length));
        }
        return new TokenWindows(windows, length, hash(windows), source);
    }

    /** The first windows, no more than there are. */
    public TokenWindows first(int count) {
        return part(0, Math.min(count, windows.size()));
    }

    /** The windows behind the first {@code count}. */
    public TokenWindows from(int count) {
        return part(Math.min(count, windows.size()), windows.size());
    }

    private TokenWindows part(int from, int to) {
        List<int[]> some = windows.subList(from, to);
        return new TokenWindows(some, length, hash(some), source);
    }

    public long tokens() {
        return (long) windows.size() * length;
    }

    private static String hash(List<int[]> windows) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (int[] window : windows) {
                ByteBuffer bytes =
                        ByteBuffer.allocate(window.length * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
                bytes.asIntBuffer().put(window);
                digest.update(bytes);
            }
            return HexFormat.of().formatHex(digest.digest(), 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Every Java platform has SHA-256", e);
        }
    }
}
