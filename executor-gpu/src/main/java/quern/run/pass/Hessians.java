package quern.run.pass;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.method.Drift;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.plan.Plan;
import quern.run.workbench.Pass;
import quern.tensor.Matrix;

/**
 * Statistics on their way from parts to sites. Hessians are cut into tiles of the lower triangle, so that no message is large, and added
 * up as {@link TreeSum} says, so that the sum has the same bits wherever it is formed. Below the Hessian stand the sums of the {@link Drift};
 * the largest magnitudes of the inputs are a tile above the diagonal, where none of a Hessian is.
 */
public final class Hessians {
    /** Rows and columns of a tile: 1 MiB of floats. */
    static final int TILE = 512;

    private Hessians() {}

    /**
     * A tile of the Hessian of some parts, or their largest magnitudes. A class and not a record: Spark's Kryo cannot read records.
     */
    public static final class Tile {
        final long tokens; // of the parts; 0 but in one tile of them
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

        private boolean ofMagnitudes() {
            return col > row;
        }
    }

    /** The tiles of statistics: of the Hessian row by row of the lower triangle, the drift below it, then the magnitudes. */
    static List<Tile> tiles(Statistics part) {
        List<Tile> tiles = new ArrayList<>();
        if (part.sum() != null) {
            cut(part.sum(), true, 0, part.tokens(), tiles);
        }
        Drift drift = part.drift();
        if (drift != null) {
            Matrix inputs = drift.inputsOnHost();
            Matrix stream = drift.streamOnHost();
            int below = whole(inputs.rows());
            cut(inputs, false, below, 0, tiles);
            cut(new Matrix(1, 2, drift.squares()), false, 2 * below, 0, tiles);
            if (stream != null) {
                cut(stream, false, 2 * below + TILE, 0, tiles);
            }
        }
        if (part.largest() != null) {
            tiles.add(new Tile(tiles.isEmpty() ? part.tokens() : 0, 0, TILE, part.largest().length, part.largest()));
        }
        return tiles;
    }

    /** So many rows in whole tiles. */
    private static int whole(int rows) {
        return (rows + TILE - 1) / TILE * TILE;
    }

    private static void cut(Matrix matrix, boolean lower, int below, long tokens, List<Tile> tiles) {
        int n = matrix.cols();
        for (int row = 0; row < matrix.rows(); row += TILE) {
            int rows = Math.min(TILE, matrix.rows() - row);
            for (int col = 0; col < (lower ? row + 1 : n); col += TILE) {
                int cols = Math.min(TILE, n - col);
                float[] values = new float[rows * cols];
                for (int r = 0; r < rows; r++) {
                    System.arraycopy(matrix.values(), (row + r) * n + col, values, r * cols, cols);
                }
                tiles.add(new Tile(tiles.isEmpty() ? tokens : 0, below + row, col, cols, values));
            }
        }
    }

    /** Of what a pass gathers for a site. */
    public static Sum sum(Plan plan, Pass pass, Plan.SitePlan site) {
        Gathering gathering = pass.gathering(plan, site);
        return new Sum(site.inputs(), site.added(), gathering);
    }

    /** Adds up tiles in the order of their {@link PassTiles.PartTile#key keys}. */
    public static final class Sum {
        private final int n;
        private final int outputs;
        private final float @Nullable [] sum;
        private final float @Nullable [] drift; // of inputs, n x n
        private final float[] squares = new float[2];
        private float @Nullable [] stream; // outputs x n, where there is one
        private final float @Nullable [] largest;
        private long tokens;
        private final TreeSum<Tile> place = ofPlace(); // of a place of the matrix
        private int row = -1;
        private int col = -1;

        /** @param outputs of the only linear; 0 where there are several */
        Sum(int n, int outputs, Gathering gathering) {
            this.n = n;
            this.outputs = outputs;
            this.sum = gathering.hessians() ? new float[Math.multiplyExact(n, n)] : null;
            this.drift = gathering.drifts() ? new float[Math.multiplyExact(n, n)] : null;
            this.largest = gathering.magnitudes() ? new float[n] : null;
        }

        private static TreeSum<Tile> ofPlace() {
            return new TreeSum<>((a, b) -> {
                for (int i = 0; i < a.values.length; i++) {
                    a.values[i] += b.values[i];
                }
                return a;
            });
        }

        /**
         * @param part the number of the first that is in the tile
         * @param tile is written to
         */
        public void add(int part, Tile tile) {
            tokens += tile.tokens;
            if (largest != null && tile.ofMagnitudes()) {
                for (int i = 0; i < n; i++) {
                    largest[i] = Math.max(largest[i], tile.values[i]);
                }
            } else if (sum != null) {
                if (tile.row != row || tile.col != col) {
                    placed();
                    row = tile.row;
                    col = tile.col;
                }
                place.add(part, tile);
            }
        }

        /** The place that was added to is complete. */
        private void placed() {
            Tile all = place.take();
            if (all == null) {
                return;
            }
            int below = whole(n);
            if (all.row < below) {
                place(all, 0, sum, n);
            } else if (all.row < 2 * below) {
                place(all, below, drift, n);
            } else if (all.row < 2 * below + TILE) {
                place(all, 2 * below, squares, 2);
            } else {
                stream = stream == null ? new float[Math.multiplyExact(outputs, n)] : stream;
                place(all, 2 * below + TILE, stream, n);
            }
        }

        private static void place(Tile tile, int begin, float @Nullable [] matrix, int cols) {
            for (int r = 0; matrix != null && r < tile.values.length / tile.cols; r++) {
                System.arraycopy(
                        tile.values, r * tile.cols, matrix, (tile.row - begin + r) * cols + tile.col, tile.cols);
            }
        }

        /** Of all parts, with the whole symmetric matrix. */
        public Statistics statistics() {
            placed();
            Matrix whole = sum == null ? null : new Matrix(n, n, sum);
            if (whole != null) {
                whole.mirrorLower();
            }
            return Statistics.of(tokens, whole, drift == null ? null : ofSums(drift), largest);
        }

        private Drift ofSums(float[] inputs) {
            return Drift.of(new Matrix(n, n, inputs), stream == null ? null : new Matrix(outputs, n, stream), squares);
        }
    }
}
