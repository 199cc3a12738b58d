package quern.transform;

import java.util.Random;

/**
 * An orthogonal matrix that spreads any single coordinate over all: Q = D (C x H), with random signs D, the Hadamard matrix H of the
 * largest power of two that divides the size, and for an odd factor m that is left the Hartley matrix C_jk = (cos + sin)(2 pi jk / m) /
 * sqrt(m), of which no element is larger than sqrt(2 / m). No table of Hadamard matrices of other sizes is needed.
 */
final class Rotation {
    private final int size;
    private final int odd;
    private final float[] signs;
    private final float[] hartley; // odd x odd, symmetric

    /** @param seed of the signs; the same seed gives the same rotation everywhere */
    Rotation(int size, long seed) {
        this.size = size;
        this.odd = size / Integer.lowestOneBit(size);
        signs = new float[size];
        Random random = new Random(seed);
        for (int i = 0; i < size; i++) {
            signs[i] = random.nextBoolean() ? 1 : -1;
        }
        hartley = new float[odd * odd];
        for (int j = 0; j < odd; j++) {
            for (int k = 0; k < odd; k++) {
                double angle = 2 * Math.PI * (j * k % odd) / odd;
                hartley[j * odd + k] = (float) ((Math.cos(angle) + Math.sin(angle)) / Math.sqrt(odd));
            }
        }
    }

    int size() {
        return size;
    }

    /**
     * v Q for each vector v along the middle of runs x size x inner numbers.
     */
    void apply(float[] values, int runs, int inner) {
        if (values.length != runs * size * inner) {
            throw new IllegalArgumentException(
                    values.length + " numbers are no " + runs + " x " + size + " x " + inner);
        }
        for (int run = 0; run < runs; run++) {
            sign(values, run * size * inner, inner);
            hadamard(values, run * size * inner, inner);
            hartley(values, run * size * inner, inner);
        }
    }

    /** With the scale of H: 1 / sqrt of its size. */
    private void sign(float[] values, int at, int inner) {
        float scale = (float) (1 / Math.sqrt(size / odd));
        for (int i = 0; i < size; i++) {
            for (int k = 0; k < inner; k++) {
                values[at + i * inner + k] *= scale * signs[i];
            }
        }
    }

    /** Fast Walsh-Hadamard transforms of runs of size / odd. */
    private void hadamard(float[] values, int at, int inner) {
        for (int half = 1; half < size / odd; half *= 2) {
            for (int i = 0; i < size; i += 2 * half) {
                int a = at + i * inner;
                int b = a + half * inner;
                for (int k = 0; k < half * inner; k++) {
                    float sum = values[a + k] + values[b + k];
                    values[b + k] = values[a + k] - values[b + k];
                    values[a + k] = sum;
                }
            }
        }
    }

    private void hartley(float[] values, int at, int inner) {
        if (odd == 1) {
            return;
        }
        int block = size / odd * inner;
        float[] sums = new float[size * inner];
        for (int j = 0; j < odd; j++) {
            for (int k = 0; k < odd; k++) {
                float factor = hartley[j * odd + k];
                for (int i = 0; i < block; i++) {
                    sums[k * block + i] += factor * values[at + j * block + i];
                }
            }
        }
        System.arraycopy(sums, 0, values, at, sums.length);
    }
}
