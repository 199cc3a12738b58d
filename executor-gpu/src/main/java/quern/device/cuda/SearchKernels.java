package quern.device.cuda;

import static quern.device.cuda.Kernels.at;
import static quern.device.cuda.Kernels.number;

import quern.device.BlockSearch;
import quern.device.GridSearch;
import quern.device.cuda.GridShapes.Tables;
import quern.device.cuda.Launcher.Geometry;

/** The kernels that search scales, of groups or of whole blocks. */
final class SearchKernels {
    /** Bytes of shared memory: 32 rows that are searched, and the importance of their columns. */
    static final int PIECES = 4 * 33 * 132;

    private static final int GROUPS = 128; // of blocks that are searched together

    /**
     * What is tried for a group's scale; the last three are addresses.
     *
     * @param length columns of a group
     * @param factors as many as the search has
     * @param powers a table, or 0 where none are taken
     */
    record Trial(GridSearch search, int length, Tables tables, long importance, long factors, long powers) {}

    private final Kernels kernels;

    SearchKernels(Kernels kernels) {
        this.kernels = kernels;
    }

    /** @param groups address of a number of a group for each of {@code runs}, for each member */
    void searchRuns(
            CudaMatrix w,
            int members,
            int from,
            Trial trial,
            long groups,
            int runs,
            CudaMatrix scales,
            CudaMatrix zeros) {
        int rows = w.rows() / members;
        kernels.launch(
                "search_runs",
                new Geometry(256, 1, Geometry.ceil(rows, 32), runs, members, PIECES),
                (long) w.rows() * runs,
                at(w),
                number(rows),
                number(w.cols()),
                number(from),
                number(trial.length()),
                GridShapes.grid(trial.search()),
                GridShapes.search(trial.search()),
                at(trial.tables().values()),
                at(trial.tables().thresholds()),
                at(trial.importance()),
                at(trial.factors()),
                at(trial.powers()),
                at(groups),
                number(scales.cols()),
                at(scales),
                at(zeros));
    }

    /** @param sums address of as many floats as there are rows */
    void rowSquares(CudaMatrix w, long sums) {
        Geometry shape = Geometry.line(128, Geometry.ceil(w.rows(), 128));
        kernels.launch("row_squares", shape, w.elements(), at(w), number(w.rows()), number(w.cols()), at(sums));
    }

    /** @param squares address of {@link #rowSquares}, or 0; importance, units and minima are addresses, or 0, too */
    void searchBlocks(
            CudaMatrix w,
            BlockSearch search,
            Tables tables,
            long importance,
            long squares,
            CudaMatrix scales,
            CudaMatrix zeros,
            long units,
            long minima,
            CudaMatrix codes) {
        int blocks = Geometry.ceil(scales.elements(), GROUPS);
        int room = 4 * 2 * GROUPS * (search.length() + 1);
        kernels.launch(
                "search_blocks",
                new Geometry(GROUPS, 1, blocks, 1, 1, room),
                w.elements(),
                at(w),
                number(w.rows()),
                number(w.cols()),
                GridShapes.blocks(search),
                at(tables.values()),
                at(tables.thresholds()),
                at(importance),
                at(squares),
                at(scales),
                at(zeros),
                at(units),
                at(minima),
                at(codes));
    }
}
