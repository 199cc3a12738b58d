package quern.tensor;

/** A dense row-major float matrix on the heap. Holds its array: writing to {@code values} writes to the matrix. */
public record Matrix(int rows, int cols, float[] values) {
    public Matrix {
        if ((long) rows * cols != values.length) {
            throw new IllegalArgumentException(
                    "A " + rows + " x " + cols + " matrix does not have " + values.length + " values");
        }
    }

    public static Matrix zeros(int rows, int cols) {
        return new Matrix(rows, cols, new float[Math.multiplyExact(rows, cols)]);
    }

    public float at(int row, int col) {
        return values[row * cols + col];
    }

    /** Copies a run of a row. */
    public void read(int row, int col, int count, float[] to, int at) {
        System.arraycopy(values, row * cols + col, to, at, count);
    }

    /** The largest magnitude; 0 if it is empty, NaN if it holds one. */
    public float largest() {
        return largest(values, 0, values.length);
    }

    /**
     * The largest magnitude of values [begin, end). That of magnitudes is the order of their bits, NaN behind all others, and of
     * whole numbers four are compared at a time: each comparison waits for the one before.
     */
    public static float largest(float[] values, int begin, int end) {
        int a = 0;
        int b = 0;
        int c = 0;
        int d = 0;
        int i = begin;
        for (; i <= end - 4; i += 4) {
            a = Math.max(a, magnitude(values[i]));
            b = Math.max(b, magnitude(values[i + 1]));
            c = Math.max(c, magnitude(values[i + 2]));
            d = Math.max(d, magnitude(values[i + 3]));
        }
        for (; i < end; i++) {
            a = Math.max(a, magnitude(values[i]));
        }
        return Float.intBitsToFloat(Math.max(Math.max(a, b), Math.max(c, d)));
    }

    private static int magnitude(float value) {
        return Float.floatToRawIntBits(value) & 0x7fffffff;
    }

    /** Writes the lower triangle of a square matrix onto the upper one. */
    public void mirrorLower() {
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < r; c++) {
                values[c * cols + r] = values[r * cols + c];
            }
        }
    }

    public Matrix copy() {
        return new Matrix(rows, cols, values.clone());
    }
}
