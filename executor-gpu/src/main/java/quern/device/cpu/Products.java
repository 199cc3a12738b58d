package quern.device.cpu;

/** Matrix products in plain Java. */
final class Products {
    private Products() {}

    /** y += a x. */
    static void axpy(float a, float[] x, int xAt, float[] y, int yAt, int n) {
        for (int i = 0; i < n; i++) {
            y[yAt + i] += a * x[xAt + i];
        }
    }
}
