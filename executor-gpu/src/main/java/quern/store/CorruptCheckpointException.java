package quern.store;

import quern.QuernException;

/** A checkpoint that is not what its files say it is. Names the file, the tensor where there is one, and both sides. */
public final class CorruptCheckpointException extends QuernException {
    CorruptCheckpointException(String file, String reason) {
        super(sentence(file, reason));
    }

    CorruptCheckpointException(String file, String reason, Throwable cause) {
        super(sentence(file, reason), cause);
    }

    static CorruptCheckpointException tensor(String file, String tensor, String expected, String found) {
        return new CorruptCheckpointException(
                file, "tensor '" + quoted(tensor) + "' should have " + expected + " but has " + found);
    }

    private static String sentence(String file, String reason) {
        return "Cannot read " + quoted(file) + ": " + reason + " (download or convert the checkpoint again)";
    }

    /** What a hostile file calls things, short and printable. */
    static String quoted(String name) {
        String printable = name.codePoints()
                .limit(200)
                .map(c -> Character.isISOControl(c) ? '?' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
                .toString();
        return printable.length() < name.length() ? printable + "..." : printable;
    }
}
