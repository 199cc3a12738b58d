package quern;

import java.util.Random;

/** Where random test data begins: printed, the same in every run, and another one by {@code -Dquern.seed=N}. */
public final class Seeds {
    private static final long SEED = Long.getLong("quern.seed", 20_261_121);

    static {
        System.out.println("-Dquern.seed=" + SEED);
    }

    private Seeds() {}

    public static long seed() {
        return SEED;
    }

    public static Random random() {
        return new Random(SEED);
    }
}
