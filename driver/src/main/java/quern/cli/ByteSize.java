package quern.cli;

import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quern.QuernException;

/** Sizes as transformers writes them: 5GB is 5 x 10^9 bytes, 5GiB is 5 x 2^30. */
final class ByteSize {
    private static final Pattern FORM =
            Pattern.compile("(\\d{1,9}(?:\\.\\d{1,3})?)\\s*([KMGT]i?)?B?", Pattern.CASE_INSENSITIVE);
    private static final Map<String, Double> UNITS =
            Map.of("K", 1e3, "M", 1e6, "G", 1e9, "T", 1e12, "KI", 0x1p10, "MI", 0x1p20, "GI", 0x1p30, "TI", 0x1p40);

    private ByteSize() {}

    static long parse(String option, String text) {
        Matcher matcher = FORM.matcher(text.strip());
        if (matcher.matches()) {
            String unit = matcher.group(2);
            double factor = unit == null ? 1 : UNITS.getOrDefault(unit.toUpperCase(Locale.ROOT), 1.0);
            double bytes = Double.parseDouble(matcher.group(1)) * factor;
            if (bytes >= 1) {
                return (long) bytes;
            }
        }
        throw new QuernException(
                "Cannot use " + option + " " + text + ": it is not a size (write for example 5GB, 500MB or" + " 2GiB)");
    }
}
