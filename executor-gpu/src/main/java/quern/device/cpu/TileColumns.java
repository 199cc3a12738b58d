package quern.device.cpu;

/**
 * Some rows of a block that lie by columns, so that every step runs along the rows: they are independent of each other, and so
 * their results don't depend on how they are split.
 */
final class TileColumns {
    /** Rows of a tile; 128 columns of it fit the second-level cache. */
    static final int ROWS = 256;
    /** Between columns of a tile: not a power of two, or all columns would share a few lines of the cache. */
    static final int STRIDE = ROWS + 16;
    /** Columns whose updates of another are done in one pass. */
    static final int TOGETHER = 8;
    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    static final float ROUND = 0x1.8p23f;

    private TileColumns() {}

    /** y += x a: one column. */
    static void add(float[] x, int xAt, float a, float[] y, int yAt, int n) {
        for (int i = 0; i < n; i++) {
            y[yAt + i] += x[xAt + i] * a;
        }
    }

    /**
     * {@link #TOGETHER} columns, in the same order as one by one, hence with the same bits; y is read and written once.
     *
     * @param aStep between the factors of two columns
     */
    static void addAll(float[] x, int xAt, float[] a, int aAt, int aStep, float[] y, int yAt, int n) {
        float a0 = a[aAt];
        float a1 = a[aAt + aStep];
        float a2 = a[aAt + 2 * aStep];
        float a3 = a[aAt + 3 * aStep];
        float a4 = a[aAt + 4 * aStep];
        float a5 = a[aAt + 5 * aStep];
        float a6 = a[aAt + 6 * aStep];
        float a7 = a[aAt + 7 * aStep];
        for (int i = 0; i < n; i++) {
            float sum = y[yAt + i];
            sum += x[xAt + i] * a0;
            sum += x[xAt + STRIDE + i] * a1;
            sum += x[xAt + 2 * STRIDE + i] * a2;
            sum += x[xAt + 3 * STRIDE + i] * a3;
            sum += x[xAt + 4 * STRIDE + i] * a4;
            sum += x[xAt + 5 * STRIDE + i] * a5;
            sum += x[xAt + 6 * STRIDE + i] * a6;
            sum += x[xAt + 7 * STRIDE + i] * a7;
            y[yAt + i] = sum;
        }
    }
}
