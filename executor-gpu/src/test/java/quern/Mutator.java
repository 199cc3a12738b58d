package quern;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Spoils files the way that damaged disks, half downloads and ill will do. Text that looks like JSON is also spoiled where
 * it hurts: numbers, strings, brackets, whole entries. The seed decides everything.
 */
public final class Mutator {
    private static final Pattern NUMBER = Pattern.compile("-?\\d+(\\.\\d+)?");
    private static final Pattern STRING = Pattern.compile("\"[^\"\\\\]*\"");
    private static final Pattern MEMBER =
            Pattern.compile("\"[^\"\\\\]*\"\\s*:\\s*(\\[[^\\[\\]]*]|\\{[^{}]*}|[^,{}\\[\\]]+)");
    private static final String[] NUMBERS = {
        "0",
        "-1",
        "1",
        "-0",
        "7",
        "2147483647",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "99999999999999999999999",
        "1e309",
        "1e-400",
        "0.5",
        "00",
        "NaN",
        "null",
        "true",
        "\"1\"",
        "[]",
        "{}"
    };
    private static final String[] STRINGS = {
        "\"\"",
        "\"..\"",
        "\"../../etc/passwd\"",
        "\"/\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"F32\"",
        "\"I64\"",
        "\"dtype\"",
        "\"shape\"",
        "\"data_offsets\"",
        "\"__metadata__\"",
        "\"weight_map\"",
        "\"" + "x".repeat(70_000) + "\"",
        "null",
        "1",
        "[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]",
        "{\"a\":{\"a\":{\"a\":{}}}}"
    };

    private final Random random;

    public Mutator(long seed) {
        this.random = new Random(seed);
    }

    public int below(int bound) {
        return random.nextInt(bound);
    }

    /** A file with one to three things wrong; the original stays. */
    public byte[] spoil(byte[] original) {
        byte[] bytes = original;
        for (int i = 1 + random.nextInt(3); i > 0; i--) {
            bytes = random.nextBoolean() ? spoilText(bytes) : spoilBytes(bytes);
        }
        return bytes;
    }

    private byte[] spoilBytes(byte[] bytes) {
        int length = bytes.length;
        if (length == 0) {
            return new byte[] {(byte) random.nextInt(256)};
        }
        int at = random.nextInt(length);
        int until = at + Math.min(length - at, 1 + random.nextInt(random.nextBoolean() ? 4 : 200));
        switch (random.nextInt(7)) {
            case 0 -> {
                byte[] flipped = bytes.clone();
                flipped[at] ^= (byte) (1 << random.nextInt(8));
                return flipped;
            }
            case 1 -> {
                byte[] replaced = bytes.clone();
                replaced[at] = (byte) random.nextInt(256);
                return replaced;
            }
            case 2 -> {
                return Arrays.copyOf(bytes, at);
            }
            case 3 -> { // taken out
                return join(Arrays.copyOf(bytes, at), Arrays.copyOfRange(bytes, until, length));
            }
            case 4 -> { // twice
                return join(Arrays.copyOf(bytes, until), Arrays.copyOfRange(bytes, at, length));
            }
            case 5 -> { // zeros, as of a hole
                byte[] hole = bytes.clone();
                Arrays.fill(hole, at, until, (byte) 0);
                return hole;
            }
            default -> { // noise between
                byte[] noise = new byte[until - at];
                random.nextBytes(noise);
                return join(join(Arrays.copyOf(bytes, at), noise), Arrays.copyOfRange(bytes, at, length));
            }
        }
    }

    private byte[] spoilText(byte[] bytes) {
        String text = new String(bytes, ISO_8859_1);
        String spoiled = switch (random.nextInt(6)) {
            case 0 -> replaceOne(text, NUMBER, NUMBERS[random.nextInt(NUMBERS.length)]);
            case 1 -> replaceOne(text, STRING, STRINGS[random.nextInt(STRINGS.length)]);
            case 2 -> replaceOne(text, STRING, one(text, STRING));
            case 3 -> replaceOne(text, NUMBER, one(text, NUMBER));
            case 4 -> replaceOne(text, MEMBER, one(text, MEMBER));
            default -> { // an entry twice, or an entry more
                String member = one(text, MEMBER);
                yield replaceOne(text, MEMBER, member + "," + (random.nextBoolean() ? member : one(text, MEMBER)));
            }
        };
        return spoiled.getBytes(ISO_8859_1);
    }

    private String one(String text, Pattern pattern) {
        List<MatchResult> found = found(text, pattern);
        return found.isEmpty() ? "" : found.get(random.nextInt(found.size())).group();
    }

    private String replaceOne(String text, Pattern pattern, String by) {
        List<MatchResult> found = found(text, pattern);
        if (found.isEmpty()) {
            return text + by;
        }
        MatchResult match = found.get(random.nextInt(found.size()));
        return text.substring(0, match.start()) + by + text.substring(match.end());
    }

    private static List<MatchResult> found(String text, Pattern pattern) {
        Matcher matcher = pattern.matcher(text);
        List<MatchResult> found = new ArrayList<>();
        while (matcher.find()) {
            found.add(matcher.toMatchResult());
        }
        return found;
    }

    private static byte[] join(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
