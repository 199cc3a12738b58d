package quern.device.cpu;

/** The recursion of the sweep over one block with a quantizer that changes nothing, laid out as in {@link Sweep}. */
final class Relaxation {
    /** Rows of a tile. */
    private static final int ROWS = 512;
    /** Columns whose updates of the columns behind them are done in one pass. */
    private static final int TOGETHER = 8;

    private final FloatRows original;
    private final FloatRows working;
    private final int from;
    private final int width;
    private final float[] update; // width x width: R[i,j] / R[j,j]

    Relaxation(FloatRows original, FloatRows working, FloatRows factor, int from, int to) {
        this.original = original;
        this.working = working;
        this.from = from;
        width = to - from;
        update = Triangles.block(factor, from, to);
    }

    /** @param relaxed rows x width, written */
    void run(FloatRows relaxed) {
        int most = Math.min(ROWS, working.rows());
        float[][] moved = new float[width][most]; // by columns: original, then original - relaxed
        float[][] live = new float[width][most]; // by columns
        float[] line = new float[width];
        for (int row = 0; row < working.rows(); row += ROWS) {
            int rows = Math.min(ROWS, working.rows() - row);
            load(original, row, rows, line, moved);
            load(working, row, rows, line, live);
            for (int first = 0; first < width; first += TOGETHER) {
                together(first, Math.min(width, first + TOGETHER), moved, live, rows);
            }
            for (int r = 0; r < rows; r++) {
                for (int j = 0; j < width; j++) {
                    line[j] = live[j][r];
                }
                relaxed.write(row + r, 0, width, line, 0);
            }
        }
    }

    private void together(int first, int last, float[][] moved, float[][] live, int rows) {
        for (int i = first; i < last; i++) {
            subtract(moved[i], live[i], rows);
            for (int j = i + 1; j < last; j++) {
                Axpy.one(moved[i], update[i * width + j], live[j], rows);
            }
        }
        for (int j = last; j < width; j++) {
            Axpy.add(moved, first, last, update, first * width + j, width, live[j], rows);
        }
    }

    private static void subtract(float[] from, float[] what, int rows) {
        for (int r = 0; r < rows; r++) {
            from[r] -= what[r];
        }
    }

    private void load(FloatRows matrix, int row, int rows, float[] line, float[][] tile) {
        for (int r = 0; r < rows; r++) {
            matrix.read(row + r, from, width, line, 0);
            for (int j = 0; j < width; j++) {
                tile[j][r] = line[j];
            }
        }
    }
}
