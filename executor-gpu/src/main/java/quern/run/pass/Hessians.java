package quern.run.pass;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.method.Statistics;
import quern.plan.Gathering;
import quern.plan.Plan;
import quern.run.workbench.Pass;
import quern.tensor.Matrix;

/**
 * Statistics on their way from parts to sites. Hessians are cut into tiles of the lower triangle, so that no message is large, and added
 * up as {@link TreeSum} says, so that the sum has the same bits wherever it is formed. The sum of products with inputs in full precision
 * stands below the Hessian, all of it; the largest magnitudes of the inputs are a tile above the diagonal, where none of a Hessian is.
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

    /** The tiles of statistics: of the Hessian row by row of the lower triangle, the other sum below it, then the magnitudes. */
    static List<Tile> tiles(Statistics part) {
        List<Tile> tiles = new ArrayList<>();
        if (part.sum() != null) {
            cut(part.sum(), true, 0, part.tokens(), tiles);
        }
        if (part.cross() != null) {
            cut(part.cross(), false, below(part.cross().rows()), 0, tiles);
        }
        if (part.largest() != null) {
            tiles.add(new Tile(tiles.isEmpty() ? part.tokens() : 0, 0, TILE, part.largest().length, part.largest()));
        }
        return tiles;
    }

    /** The row below a Hessian where a tile begins. */
    private static int below(int n) {
        return (n + TILE - 1) / TILE * TILE;
    }

    private static void cut(Matrix matrix, boolean lower, int below, long tokens, List<Tile> tiles) {
        int n = matrix.rows();
        for (int row = 0; row < n; row += TILE) {
            int rows = Math.min(TILE, n - row);
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
        return new Sum(site.inputs(), gathering);
    }

    /** Adds up tiles in the order of their {@link PassTiles.PartTile#key keys}. */
    public static final class Sum {
        private final int n;
        private final float @Nullable [] sum;
        private final float @Nullable [] cross;
        private final float @Nullable [] largest;
        private long tokens;
        private final TreeSum<Tile> place = ofPlace(); // of a place of the matrix
        private int row = -1;
        private int col = -1;

        Sum(int n, Gathering gathering) {
            this.n = n;
            this.sum = gathering.hessians() ? new float[Math.multiplyExact(n, n)] : null;
            this.cross = gathering.crosses() ? new float[Math.multiplyExact(n, n)] : null;
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
            float[] of = all.row < n ? sum : cross;
            int first = all.row < n ? all.row : all.row - below(n);
            for (int r = 0; of != null && r < all.values.length / all.cols; r++) {
                System.arraycopy(all.values, r * all.cols, of, (first + r) * n + all.col, all.cols);
            }
        }

        /** Of all parts, with the whole symmetric matrix. */
        public Statistics statistics() {
            placed();
            Matrix whole = sum == null ? null : new Matrix(n, n, sum);
            if (whole != null) {
                whole.mirrorLower();
            }
            return Statistics.of(tokens, whole, cross == null ? null : new Matrix(n, n, cross), largest);
        }
    }
}
