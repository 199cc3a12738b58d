package quern.method;

import java.util.Arrays;

/** A few groups of {@link Hqq} at a time, side by side in arrays of one length: what the compiler makes vector code of. */
final class HqqTile {
    private static final int SIZE = 4096;

    private static final float P = 0.7f;
    private static final float BETA = 10;

    /** Below it, |rest| - |rest|^(p - 1) / beta is negative: it is 0 at beta^(-1 / (2 - p)) = 0.1702. */
    private static final float SHRUNK_TO_NOTHING = 0.17f;

    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private final int length;
    private final float most;
    private final int[] group; // which they are
    private final float[] w; // groups x length
    private final float[] inverse; // groups x length: 1 / scale of the group
    private final float[] zero; // groups x length
    private final float[] code; // groups x length
    private final float[] rest; // groups x length: what is left of w
    private int groups;

    HqqTile(int length, int most) {
        this.length = length;
        this.most = most;
        group = new int[Math.max(1, SIZE / length)];
        int size = group.length * length;
        w = new float[size];
        inverse = new float[size];
        zero = new float[size];
        code = new float[size];
        rest = new float[size];
    }

    void clear() {
        groups = 0;
    }

    boolean isFull() {
        return groups == group.length;
    }

    int groups() {
        return groups;
    }

    int group(int at) {
        return group[at];
    }

    /** @param weights all groups */
    void add(int g, float[] weights, float inverseOfGroup, float zeroOfGroup) {
        int at = groups * length;
        System.arraycopy(weights, g * length, w, at, length);
        Arrays.fill(inverse, at, at + length, inverseOfGroup);
        Arrays.fill(zero, at, at + length, zeroOfGroup);
        group[groups++] = g;
    }

    /** Equation (1) for all of them, and what is left of the weights. */
    void step() {
        int count = groups * length;
        round(count);
        for (int i = 0; i < count; i++) {
            rest[i] = w[i] - (code[i] - zero[i]) / inverse[i];
        }
    }

    private void round(int count) {
        for (int i = 0; i < count; i++) {
            code[i] = (Math.max(0, Math.min(most, w[i] * inverse[i] + zero[i])) + ROUND) - ROUND;
        }
    }

    /** The sum of absolute errors of a group. */
    double error(int at) {
        double sum = 0;
        for (int i = at * length; i < (at + 1) * length; i++) {
            sum += Math.abs(rest[i]);
        }
        return sum;
    }

    /** Equation (2): the mean of Q - (W - E) / s. */
    float zero(int at) {
        double sum = 0;
        for (int i = at * length; i < (at + 1) * length; i++) {
            sum += code[i] - (w[i] - shrunk(rest[i])) * inverse[i];
        }
        return (float) (sum / length);
    }

    /** Equation (1): E = sign(rest) max(|rest| - |rest|^(p - 1) / beta, 0). */
    private static float shrunk(float rest) {
        float size = Math.abs(rest);
        return size < SHRUNK_TO_NOTHING
                ? 0
                : Math.copySign(Math.max(size - (float) Math.pow(size, P - 1) / BETA, 0), rest);
    }

    /** The codes of all of them, each group where it belongs. */
    void codes(byte[] into) {
        int count = groups * length;
        round(count);
        for (int at = 0; at < groups; at++) {
            for (int i = 0; i < length; i++) {
                into[group[at] * length + i] = (byte) (int) code[at * length + i];
            }
        }
    }
}
