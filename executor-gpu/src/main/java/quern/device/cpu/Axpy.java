package quern.device.cpu;

/**
 * y += a x on columns of a tile. Each column is an array of its own, since the compiler makes good vector code only of loops
 * that begin where their arrays begin, and only of short ones: hence four columns at a time.
 */
final class Axpy {
    private Axpy() {}

    /**
     * y += sum over k in [from, to) of x[k] * a[at + (k - from) * step], added in the order of k.
     *
     * @param n rows
     */
    static void add(float[][] x, int from, int to, float[] a, int at, int step, float[] y, int n) {
        int k = from;
        for (; k + 4 <= to; k += 4, at += 4 * step) {
            four(x[k], a[at], x[k + 1], a[at + step], x[k + 2], a[at + 2 * step], x[k + 3], a[at + 3 * step], y, n);
        }
        for (; k < to; k++, at += step) {
            one(x[k], a[at], y, n);
        }
    }

    static void one(float[] x, float a, float[] y, int n) {
        for (int i = 0; i < n; i++) {
            y[i] += x[i] * a;
        }
    }

    private static void four(
            float[] x0, float a0, float[] x1, float a1, float[] x2, float a2, float[] x3, float a3, float[] y, int n) {
        for (int i = 0; i < n; i++) {
            y[i] = y[i] + x0[i] * a0 + x1[i] * a1 + x2[i] * a2 + x3[i] * a3;
        }
    }
}
