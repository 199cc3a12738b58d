package quern.calibration;

/**
 * The generator of CPython's {@code random.Random(seed)}: MT19937 (Matsumoto and Nishimura, 1998) seeded by
 * {@code init_by_array} with the 32-bit digits of |seed|. Draws the same numbers for the same seed.
 */
final class PythonRandom {
    private static final int N = 624;
    private static final int M = 397;

    private final int[] state = new int[N];
    private int next = N;

    PythonRandom(long seed) {
        long magnitude = Math.abs(seed); // of Long.MIN_VALUE it is 2^63 as an unsigned number, which is right
        int low = (int) magnitude;
        int high = (int) (magnitude >>> 32);
        seed(high == 0 ? new int[] {low} : new int[] {low, high});
    }

    /** A number from {@code from} to {@code to}, both ends included: {@code randint}. */
    int randint(int from, int to) {
        if (from > to) {
            throw new IllegalArgumentException("No number lies between " + from + " and " + to);
        }
        return Math.toIntExact(from + below((long) to - from + 1));
    }

    /** 0 to n - 1, by drawing just enough bits until they are less than n. */
    private long below(long n) {
        int bits = Long.SIZE - Long.numberOfLeadingZeros(n);
        long drawn = bits(bits);
        while (drawn >= n) {
            drawn = bits(bits);
        }
        return drawn;
    }

    /** {@code getrandbits(count)} for 1 to 32 bits. */
    long bits(int count) {
        if (count < 1 || count > Integer.SIZE) {
            throw new IllegalArgumentException(count + " bits");
        }
        return Integer.toUnsignedLong(word()) >>> (Integer.SIZE - count);
    }

    private int word() {
        if (next == N) {
            twist();
            next = 0;
        }
        int y = state[next++];
        y ^= y >>> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >>> 18);
    }

    private void twist() {
        for (int k = 0; k < N; k++) {
            int y = (state[k] & 0x80000000) | (state[(k + 1) % N] & 0x7fffffff);
            state[k] = state[(k + M) % N] ^ (y >>> 1) ^ ((y & 1) == 0 ? 0 : 0x9908b0df);
        }
    }

    private void seed(int[] key) {
        state[0] = 19650218;
        for (int i = 1; i < N; i++) {
            state[i] = 1812433253 * (state[i - 1] ^ (state[i - 1] >>> 30)) + i;
        }
        int i = 1;
        int j = 0;
        for (int k = Math.max(N, key.length); k > 0; k--) {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1664525)) + key[j] + j;
            i = stepped(i);
            j = (j + 1) % key.length;
        }
        for (int k = N - 1; k > 0; k--) {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >>> 30)) * 1566083941)) - i;
            i = stepped(i);
        }
        state[0] = 0x80000000;
    }

    private int stepped(int i) {
        if (i + 1 == N) {
            state[0] = state[N - 1];
            return 1;
        }
        return i + 1;
    }
}
