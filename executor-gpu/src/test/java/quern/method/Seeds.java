package quern.method;

import java.util.Random;

/** Random data whose seed is printed; {@code -Dquern.seed=N} runs it again. */
final class Seeds {
    private static final long SEED;

    static {
        String given = System.getProperty("quern.seed", "");
        SEED = given.isEmpty() ? System.nanoTime() : Long.parseLong(given);
        System.out.println("quern.seed=" + SEED);
    }

    private Seeds() {}

    static Random random() {
        return new Random(SEED);
    }
}
