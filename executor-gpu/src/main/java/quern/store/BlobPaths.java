package quern.store;

import java.util.UUID;

/** The relative paths of a {@link BlobStore}. */
public final class BlobPaths {
    private BlobPaths() {}

    /** Whether a path stays below its store: relative, no empty name, {@code .} or {@code ..}, no backslash or NUL. */
    public static boolean isSafe(String path) {
        if (path.isEmpty() || path.indexOf('\\') >= 0 || path.indexOf('\0') >= 0) {
            return false;
        }
        for (String name : path.split("/", -1)) {
            if (name.isEmpty() || name.equals(".") || name.equals("..")) {
                return false;
            }
        }
        return true;
    }

    /** The path itself, checked. */
    public static String safe(String path) {
        if (!isSafe(path)) {
            throw new IllegalArgumentException("Not a path within a store: '" + path + "'");
        }
        return path;
    }

    /** The folder that every path with this prefix lies in; empty for the root. */
    public static String folder(String prefix) {
        String folder = prefix.substring(0, prefix.lastIndexOf('/') + 1);
        return folder.isEmpty() ? "" : safe(folder.substring(0, folder.length() - 1));
    }

    /** The name of an unfinished file; {@link #isTemporary} knows it again, no reader sees it. */
    public static String temporary(String path) {
        return path + ".~" + UUID.randomUUID().toString().replace("-", "");
    }

    public static boolean isTemporary(String path) {
        int tilde = path.length() - 34;
        return tilde > 0
                && path.startsWith(".~", tilde)
                && path.chars().skip(tilde + 2).allMatch(c -> Character.digit(c, 16) >= 0);
    }
}
