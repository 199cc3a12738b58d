package quern.cli;

import quern.QuernException;

/** Options that count something. */
final class Positive {
    private Positive() {}

    static void check(String option, int value) {
        if (value < 1) {
            throw new QuernException("Cannot use " + option + " " + value + ": it counts something (1 or more)");
        }
    }
}
