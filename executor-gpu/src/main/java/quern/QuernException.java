package quern;

/**
 * Something the user can mend. The message is one sentence of the form <em>Cannot X: reason (what would do)</em>; the
 * command line prints it without a stack trace and exits with 2.
 */
public class QuernException extends RuntimeException {
    public QuernException(String sentence) {
        super(sentence);
    }

    public QuernException(String sentence, Throwable cause) {
        super(sentence, cause);
    }
}
