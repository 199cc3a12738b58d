package quern.device.cpu;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/**
 * The column sweep of one block, some rows at a time. A tile lies by columns, so that every step runs along the rows: they
 * are independent of each other, and so their results don't depend on how they are split.
 */
final class Sweep {
    /** Rows of a tile; 128 columns of it fit the second-level cache. */
    private static final int ROWS = 256;
    /** Between columns of a tile: not a power of two, or all columns would share a few lines of the cache. */
    private static final int STRIDE = ROWS + 16;
    /** Columns whose updates of the columns behind them are done in one pass. */
    private static final int TOGETHER = 8;
    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private final FloatRows original;
    private final FloatRows working;
    private final FloatRows error;
    private final Grid grid;
    private final byte[] codes;
    private final int from;
    private final int width;
    private final float[] diagonal; // width: R[i,i]
    private final float[] update; // width x width: R[i,j] / R[j,j]

    Sweep(
            FloatRows original,
            FloatRows working,
            FloatRows factor,
            int from,
            int to,
            FloatRows error,
            Grid grid,
            byte[] codes) {
        this.original = original;
        this.working = working;
        this.error = error;
        this.grid = grid;
        this.codes = codes;
        this.from = from;
        width = to - from;
        update = new float[width * width];
        diagonal = new float[width];
        for (int i = 0; i < width; i++) {
            factor.read(from + i, from, width, update, i * width);
            diagonal[i] = update[i * width + i];
        }
        for (int i = 0; i < width; i++) {
            for (int j = i; j < width; j++) {
                update[i * width + j] /= diagonal[j];
            }
        }
    }

    /** @return the loss of the block */
    double run() {
        Tile tile = new Tile();
        double loss = 0;
        for (int row = 0; row < working.rows(); row += ROWS) {
            loss += tile.run(row, Math.min(ROWS, working.rows() - row));
        }
        return loss;
    }

    private final class Tile {
        private final float[] w = new float[width * STRIDE]; // by columns: original
        private final float[] live = new float[width * STRIDE]; // by columns: working
        private final float[] code = new float[width * STRIDE]; // by columns
        private final float[] e = new float[width * STRIDE]; // by columns: original - quantized
        private final float[] weighted = new float[ROWS];
        private final float[] scale = new float[ROWS];
        private final float[] zero = new float[ROWS];
        private final double[] losses = new double[ROWS];
        private final float[] line = new float[width];

        double run(int row, int rows) {
            load(original, row, rows, w);
            load(working, row, rows, live);
            Arrays.fill(losses, 0);
            for (int first = 0; first < width; first += TOGETHER) {
                int last = Math.min(width, first + TOGETHER);
                for (int i = first; i < last; i++) {
                    columnGrid(row, rows, grid.groupOfColumn()[i]);
                    quantize(i * STRIDE, rows, diagonal[i]);
                    for (int j = i + 1; j < last; j++) {
                        axpy(e, i * STRIDE, update[i * width + j], live, j * STRIDE, rows);
                    }
                }
                for (int j = last; j < width; j++) {
                    axpys(e, first * STRIDE, update, first * width + j, width, live, j * STRIDE, rows);
                }
            }
            store(live, row, rows, working, from);
            store(e, row, rows, error, 0);
            storeCodes(row, rows);
            double loss = 0;
            for (int r = 0; r < rows; r++) {
                loss += losses[r];
            }
            return loss;
        }

        private void columnGrid(int row, int rows, int group) {
            for (int r = 0; r < rows; r++) {
                int at = (row + r) * grid.groups() + group;
                scale[r] = grid.scales()[at];
                zero[r] = grid.zeros()[at] & 0xff;
            }
        }

        /** One column: codes, errors, losses. */
        private void quantize(int at, int rows, float factor) {
            float lowest = grid.lowest();
            float highest = grid.highest();
            for (int r = 0; r < rows; r++) {
                // Clamped before it is rounded: the same code, and always in the range where ROUND is exact.
                float x = Math.min(Math.max(live[at + r] / scale[r], lowest - zero[r]), highest - zero[r]);
                float level = (x + ROUND) - ROUND;
                float quantized = scale[r] * level;
                code[at + r] = level + zero[r];
                e[at + r] = w[at + r] - quantized;
                weighted[r] = (live[at + r] - quantized) * factor;
            }
            for (int r = 0; r < rows; r++) {
                losses[r] += (double) weighted[r] * weighted[r];
            }
        }

        private void load(FloatRows matrix, int row, int rows, float[] tile) {
            for (int r = 0; r < rows; r++) {
                matrix.read(row + r, from, width, line, 0);
                for (int j = 0; j < width; j++) {
                    tile[j * STRIDE + r] = line[j];
                }
            }
        }

        private void store(float[] tile, int row, int rows, FloatRows matrix, int col) {
            for (int r = 0; r < rows; r++) {
                for (int j = 0; j < width; j++) {
                    line[j] = tile[j * STRIDE + r];
                }
                matrix.write(row + r, col, width, line, 0);
            }
        }

        private void storeCodes(int row, int rows) {
            for (int r = 0; r < rows; r++) {
                int at = (row + r) * working.cols() + from;
                for (int j = 0; j < width; j++) {
                    codes[at + j] = (byte) (int) code[j * STRIDE + r];
                }
            }
        }
    }

    /** Eight axpys in the same order as one by one, hence with the same bits, that read and write y once. */
    private static void axpys(float[] x, int xAt, float[] a, int aAt, int aStep, float[] y, int yAt, int n) {
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

    private static void axpy(float[] x, int xAt, float a, float[] y, int yAt, int n) {
        for (int i = 0; i < n; i++) {
            y[yAt + i] += x[xAt + i] * a;
        }
    }
}
