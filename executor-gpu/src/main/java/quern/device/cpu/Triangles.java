package quern.device.cpu;

/** What a solve needs of square matrices beside their factorization. */
final class Triangles {
    /** Side of the squares that are transposed at once. */
    private static final int SIDE = 64;

    private Triangles() {}

    /** Copies the lower triangle onto the upper one. */
    static void mirrorLower(FloatRows m) {
        int n = m.rows();
        float[] square = new float[SIDE * SIDE];
        float[] line = new float[SIDE];
        for (int row = 0; row < n; row += SIDE) {
            int rows = Math.min(SIDE, n - row);
            for (int col = 0; col <= row; col += SIDE) {
                int cols = Math.min(SIDE, n - col);
                for (int i = 0; i < rows; i++) {
                    m.read(row + i, col, cols, square, i * SIDE);
                }
                for (int j = 0; j < cols; j++) {
                    int first = row == col ? j + 1 : 0;
                    for (int i = first; i < rows; i++) {
                        line[i] = square[i * SIDE + j];
                    }
                    if (first < rows) {
                        m.write(col + j, row + first, rows - first, line, first);
                    }
                }
            }
        }
    }

    /** Turns the order of rows and of columns round. */
    static void reverse(FloatRows m) {
        int n = m.rows();
        float[] top = new float[n];
        float[] bottom = new float[n];
        for (int row = 0; row < (n + 1) / 2; row++) {
            m.read(row, 0, n, top, 0);
            m.read(n - 1 - row, 0, n, bottom, 0);
            reverse(top);
            reverse(bottom);
            m.write(row, 0, n, bottom, 0);
            m.write(n - 1 - row, 0, n, top, 0);
        }
    }

    private static void reverse(float[] values) {
        for (int i = 0, j = values.length - 1; i < j; i++, j--) {
            float kept = values[i];
            values[i] = values[j];
            values[j] = kept;
        }
    }

    static void zeroLower(FloatRows m) {
        float[] zeros = new float[m.rows()];
        for (int row = 1; row < m.rows(); row++) {
            m.write(row, 0, row, zeros, 0);
        }
    }

    static boolean finiteDiagonal(FloatRows m) {
        float[] value = new float[1];
        for (int i = 0; i < m.rows(); i++) {
            m.read(i, i, 1, value, 0);
            if (!Float.isFinite(value[0]) || value[0] <= 0) {
                return false;
            }
        }
        return true;
    }

    /** The sum of squares of each column of an upper triangle. */
    static float[] columnSquares(FloatRows upper) {
        int n = upper.rows();
        double[] sums = new double[n];
        float[] row = new float[n];
        for (int i = 0; i < n; i++) {
            upper.read(i, i, n - i, row, i);
            for (int j = i; j < n; j++) {
                sums[j] += (double) row[j] * row[j];
            }
        }
        float[] result = new float[n];
        for (int j = 0; j < n; j++) {
            result[j] = (float) sums[j];
        }
        return result;
    }

    /** update = R[from:to, to:] / diag(R)[to:], (to - from) x (n - to). */
    static void updates(FloatRows factor, int from, int to, FloatRows update) {
        int behind = factor.cols() - to;
        float[] diagonal = new float[behind];
        for (int j = 0; j < behind; j++) {
            factor.read(to + j, to + j, 1, diagonal, j);
        }
        float[] row = new float[behind];
        for (int i = from; i < to; i++) {
            factor.read(i, to, behind, row, 0);
            for (int j = 0; j < behind; j++) {
                row[j] /= diagonal[j];
            }
            update.write(i - from, 0, behind, row, 0);
        }
    }

    /** R[i,j] / R[j,j] for i and j in [from, to), and zeros below the diagonal; width x width. */
    static float[] block(FloatRows factor, int from, int to) {
        int width = to - from;
        float[] block = new float[width * width];
        float[] diagonal = new float[width];
        for (int i = 0; i < width; i++) {
            factor.read(from + i, from, width, block, i * width);
            diagonal[i] = block[i * width + i];
        }
        for (int i = 0; i < width; i++) {
            for (int j = i; j < width; j++) {
                block[i * width + j] /= diagonal[j];
            }
        }
        return block;
    }
}
