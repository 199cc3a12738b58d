package quern.device.cpu;

import quern.device.Grids;

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
    private final Grids grids;
    private final int[] groupOfColumn; // width
    private final HeapCodes codes;
    private final int from;
    private final int width;
    private final float[] update; // width x width: R[i,j] / R[j,j]

    Sweep(
            FloatRows original,
            FloatRows working,
            FloatRows factor,
            int from,
            int to,
            FloatRows error,
            Grids grids,
            int[] groupOfColumn,
            HeapCodes codes) {
        this.original = original;
        this.working = working;
        this.error = error;
        this.grids = grids;
        this.groupOfColumn = groupOfColumn;
        this.codes = codes;
        this.from = from;
        width = to - from;
        update = Triangles.block(factor, from, to);
    }

    void run() {
        Tile tile = new Tile(Math.min(ROWS, working.rows()));
        for (int row = 0; row < working.rows(); row += ROWS) {
            tile.run(row, Math.min(ROWS, working.rows() - row));
        }
    }

    private final class Tile {
        private final float[][] w; // by columns: original
        private final float[][] live; // by columns: working
        private final float[][] values; // by columns: of the codes, less their zeros
        private final float[][] e; // by columns: original - quantized
        private final float[] line = new float[width];

        Tile(int most) {
            w = new float[width][most];
            live = new float[width][most];
            values = new float[width][most];
            e = new float[width][most];
        }

        void run(int row, int rows) {
            load(original, row, rows, w);
            load(working, row, rows, live);
            GridTile tile = new GridTile(grids, row, rows);
            for (int first = 0; first < width; first += TOGETHER) {
                int last = Math.min(width, first + TOGETHER);
                for (int i = first; i < last; i++) {
                    quantize(i, rows, tile);
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
            storeCodes(row, rows, tile);
        }

        /** One column: codes and errors. */
        private void quantize(int i, int rows, GridTile tile) {
            GridTile.Column grid = tile.group(groupOfColumn[i]);
            float[] scale = grid.scales();
            float[] zero = grid.zeros();
            float[] level = values[i];
            for (int r = 0; r < rows; r++) {
                level[r] = live[i][r] / scale[r];
            }
            tile.round(level, zero, rows);
            for (int r = 0; r < rows; r++) {
                e[i][r] = w[i][r] - scale[r] * level[r];
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

        private void storeCodes(int row, int rows, GridTile tile) {
            for (int j = 0; j < width; j++) {
                float[] zero = tile.group(groupOfColumn[j]).zeros();
                for (int r = 0; r < rows; r++) {
                    codes.values()[codes.at(row + r, from + j)] = tile.code(values[j][r], zero[r]);
                }
            }
        }
    }
}
