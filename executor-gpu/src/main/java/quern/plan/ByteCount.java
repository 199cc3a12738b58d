package quern.plan;

import java.util.Locale;

/** Bytes as a person reads them. */
public final class ByteCount {
    private ByteCount() {}

    /** {@code 812 B}, {@code 2.6 MiB}, {@code 17.0 GiB}. */
    public static String text(long bytes) {
        if (bytes < 1024) {
            return bytes + " B";
        }
        double value = bytes;
        for (String unit : new String[] {"KiB", "MiB", "GiB"}) {
            value /= 1024;
            if (value < 1024) {
                return String.format(Locale.ROOT, "%.1f %s", value, unit);
            }
        }
        return String.format(Locale.ROOT, "%.1f TiB", value / 1024);
    }
}
