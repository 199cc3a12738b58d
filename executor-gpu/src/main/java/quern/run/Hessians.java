package quern.run;

import java.util.ArrayList;
import java.util.List;
import quern.method.Hessian;
import quern.tensor.Matrix;

/**
 * Hessians on their way from parts to sites: cut into tiles of the lower triangle, so that no message is large, and folded
 * in the order of the parts, so that the sum has the same bits wherever it is formed.
 */
public final class Hessians {
    /** Rows and columns of a tile: 1 MiB of floats. */
    static final int TILE = 512;

    private Hessians() {}

    /**
     * A tile of one part's Hessian. A class and not a record: Spark's Kryo cannot read records.
     */
    public static final class Tile {
        final long tokens;
        final int row;
        final int col;
        final int cols;
        final float[] values;

        Tile(long tokens, int row, int col, int cols, float[] values) {
            this.tokens = tokens;
            this.row = row;
            this.col = col;
            this.cols = cols;
            this.values = values;
        }
    }

    /** The tiles of a Hessian, row by row of the lower triangle. */
    static List<Tile> tiles(Matrix gram, long tokens) {
        int n = gram.rows();
        List<Tile> tiles = new ArrayList<>();
        for (int row = 0; row < n; row += TILE) {
            int rows = Math.min(TILE, n - row);
            for (int col = 0; col <= row; col += TILE) {
                int cols = Math.min(TILE, n - col);
                float[] values = new float[rows * cols];
                for (int r = 0; r < rows; r++) {
                    System.arraycopy(gram.values(), (row + r) * n + col, values, r * cols, cols);
                }
                tiles.add(new Tile(tokens, row, col, cols, values));
            }
        }
        return tiles;
    }

    /** Adds up tiles in the order in which they are given; each place of the matrix must get its parts in part order. */
    public static final class Sum {
        private final int n;
        private final float[] sum;
        private long tokens;

        public Sum(int n) {
            this.n = n;
            this.sum = new float[Math.multiplyExact(n, n)];
        }

        public void add(Tile tile) {
            int cols = tile.cols;
            for (int r = 0; r < tile.values.length / cols; r++) {
                int at = (tile.row + r) * n + tile.col;
                for (int c = 0; c < cols; c++) {
                    sum[at + c] += tile.values[r * cols + c];
                }
            }
            if (tile.row == 0) { // once per part
                tokens += tile.tokens;
            }
        }

        /** The whole symmetric matrix. */
        public Hessian hessian() {
            for (int r = 0; r < n; r++) {
                for (int c = 0; c < r; c++) {
                    sum[c * n + r] = sum[r * n + c];
                }
            }
            return new Hessian(new Matrix(n, n, sum), tokens);
        }
    }
}
