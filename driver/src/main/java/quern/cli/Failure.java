package quern.cli;

import java.io.IOException;
import java.io.PrintWriter;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/** What is said when a command does not end well. */
final class Failure {
    private static final int DEEPEST = 32;

    private Failure() {}

    /** One sentence where the user can mend it, wherever it was thrown; else the cause, the place, and how to go on. */
    static int report(Throwable failure, String[] args, PrintWriter err) {
        QuernException sentence = sentence(failure);
        if (sentence != null) {
            err.println(oneLine(sentence.getMessage()));
            err.flush();
            return Main.USAGE;
        }
        if (isFullDisk(failure)) {
            err.println("Cannot go on: no space is left on a disk (make room, then the same command with --resume)");
            err.flush();
            return Main.USAGE;
        }
        err.println("Failed: " + oneLine(failure.toString()) + place(failure));
        Throwable cause = failure.getCause();
        for (int n = 0; cause != null && n < DEEPEST; n++) {
            err.println("  because of " + oneLine(cause.toString()) + place(cause));
            cause = cause.getCause();
        }
        if (args.length > 0 && args[0].equals("quantize")) {
            err.println(
                    "To go on where it stopped: the same command with --resume. To remove what is left: quern clean DIR.");
        }
        if (System.getenv("QUERN_STACKTRACE") == null) {
            err.println("The whole stack trace: set QUERN_STACKTRACE=1.");
        } else {
            failure.printStackTrace(err);
        }
        err.flush();
        return Main.FAILED;
    }

    private static @Nullable QuernException sentence(Throwable failure) {
        Throwable cause = failure;
        for (int n = 0; cause != null && n < DEEPEST; n++) {
            if (cause instanceof QuernException sentence) {
                return sentence; // Spark wraps what a task throws
            }
            cause = cause.getCause();
        }
        return null;
    }

    /** Java hands on the system's own words. */
    private static boolean isFullDisk(Throwable failure) {
        Throwable cause = failure;
        for (int n = 0; cause != null && n < DEEPEST; n++) {
            if (cause instanceof IOException
                    && String.valueOf(cause.getMessage()).contains("No space left on device")) {
                return true;
            }
            cause = cause.getCause();
        }
        return false;
    }

    private static String place(Throwable failure) {
        StackTraceElement[] trace = failure.getStackTrace();
        for (StackTraceElement frame : trace) {
            if (frame.getClassName().startsWith("quern.")) {
                return " (at " + frame + ")";
            }
        }
        return trace.length == 0 ? "" : " (at " + trace[0] + ")";
    }

    /** Spark puts whole stack traces into messages. */
    private static String oneLine(@Nullable String message) {
        return message == null ? "no message" : message.lines().findFirst().orElse("");
    }
}
