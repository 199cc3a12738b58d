package quern.device.cpu;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/**
 * The column sweep of one block, some rows at a time. A tile lies by columns, so that every step runs along the rows: they
 * are independent of each other, and so their results don't depend on how they are split.
 */
final class Sweep {
    /** Rows of a tile; the four of 128 columns fit the second-level cache. */
    private static final int ROWS = 512;
    /** Columns whose updates of the columns behind them are done in one pass. */
    private static final int TOGETHER = 8;

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
        private final float[][] w = new float[width][ROWS]; // by columns: original
        private final float[][] live = new float[width][ROWS]; // by columns: working
        private final float[][] values = new float[width][ROWS]; // by columns: of the codes, less their zeros
        private final float[][] e = new float[width][ROWS]; // by columns: original - quantized
        private final float[] weighted = new float[ROWS];
        private final double[] losses = new double[ROWS];
        private final float[] line = new float[width];

        double run(int row, int rows) {
            load(original, row, rows, w);
            load(working, row, rows, live);
            Arrays.fill(losses, 0);
            GridTile grids = new GridTile(grid, row, rows);
            for (int first = 0; first < width; first += TOGETHER) {
                int last = Math.min(width, first + TOGETHER);
                for (int i = first; i < last; i++) {
                    quantize(i, rows, grids);
                    for (int j = i + 1; j < last; j++) {
                        Axpy.one(e[i], update[i * width + j], live[j], rows);
                    }
                }
                for (int j = last; j < width; j++) {
                    Axpy.add(e, first, last, update, first * width + j, width, live[j], rows);
                }
            }
            store(live, row, rows, working, from);
            store(e, row, rows, error, 0);
            storeCodes(row, rows, grids);
            double loss = 0;
            for (int r = 0; r < rows; r++) {
                loss += losses[r];
            }
            return loss;
        }

        /** One column: codes, errors, losses. */
        private void quantize(int i, int rows, GridTile grids) {
            float[] scale = grids.column(i).scales();
            float[] zero = grids.column(i).zeros();
            float[] level = values[i];
            for (int r = 0; r < rows; r++) {
                level[r] = live[i][r] / scale[r];
            }
            grids.round(level, zero, rows);
            for (int r = 0; r < rows; r++) {
                e[i][r] = w[i][r] - scale[r] * level[r];
                weighted[r] = (live[i][r] - scale[r] * level[r]) * diagonal[i];
            }
            for (int r = 0; r < rows; r++) {
                losses[r] += (double) weighted[r] * weighted[r];
            }
        }

        private void load(FloatRows matrix, int row, int rows, float[][] tile) {
            for (int r = 0; r < rows; r++) {
                matrix.read(row + r, from, width, line, 0);
                for (int j = 0; j < width; j++) {
                    tile[j][r] = line[j];
                }
            }
        }

        private void store(float[][] tile, int row, int rows, FloatRows matrix, int col) {
            for (int r = 0; r < rows; r++) {
                for (int j = 0; j < width; j++) {
                    line[j] = tile[j][r];
                }
                matrix.write(row + r, col, width, line, 0);
            }
        }

        private void storeCodes(int row, int rows, GridTile grids) {
            for (int j = 0; j < width; j++) {
                float[] zero = grids.column(j).zeros();
                for (int r = 0; r < rows; r++) {
                    codes[(row + r) * working.cols() + from + j] = grids.code(values[j][r], zero[r]);
                }
            }
        }
    }
}
