package quern.device.cpu;

/** The recursion of the sweep over one block with a quantizer that changes nothing, laid out as in {@link Sweep}. */
final class Relaxation {
    /** Rows of a tile. */
    private static final int ROWS = 512;

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
        float[][] w = new float[width][ROWS]; // by columns: original
        float[][] live = new float[width][ROWS]; // by columns
        float[] moved = new float[ROWS];
        float[] line = new float[width];
        for (int row = 0; row < working.rows(); row += ROWS) {
            int rows = Math.min(ROWS, working.rows() - row);
            load(original, row, rows, line, w);
            load(working, row, rows, line, live);
            for (int i = 0; i < width; i++) {
                for (int r = 0; r < rows; r++) {
                    moved[r] = w[i][r] - live[i][r];
                }
                for (int j = i + 1; j < width; j++) {
                    Axpy.one(moved, update[i * width + j], live[j], rows);
                }
            }
            for (int r = 0; r < rows; r++) {
                for (int j = 0; j < width; j++) {
                    line[j] = live[j][r];
                }
                relaxed.write(row + r, 0, width, line, 0);
            }
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
