package quern.device.cpu;

import static quern.device.cpu.TileColumns.ROUND;
import static quern.device.cpu.TileColumns.ROWS;
import static quern.device.cpu.TileColumns.STRIDE;
import static quern.device.cpu.TileColumns.TOGETHER;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/** The column sweep of one block, some rows at a time, laid out as {@link TileColumns}. */
final class Sweep {
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
                        TileColumns.add(e, i * STRIDE, update[i * width + j], live, j * STRIDE, rows);
                    }
                }
                for (int j = last; j < width; j++) {
                    TileColumns.addAll(e, first * STRIDE, update, first * width + j, width, live, j * STRIDE, rows);
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
}
