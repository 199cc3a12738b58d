package quern.device.cuda;

import static quern.device.cuda.Kernels.at;
import static quern.device.cuda.Kernels.number;

import jcuda.Pointer;
import org.jspecify.annotations.Nullable;
import quern.device.BlockSearch;
import quern.device.CodeValues;
import quern.device.GridSearch;
import quern.device.StoredScale;
import quern.device.cuda.Launcher.Geometry;
import quern.tensor.DType;

/** The kernels of {@code native/src/main/cuda/kernels.h} that the solve needs, as {@link Kernels} has those of the forward pass. */
final class GridKernels {
    /** Columns of a sweep. */
    static final int BLOCK = 128;
    /** Columns of a block of coordinate descent. */
    static final int WIDEST = 256;

    /** Elements of a run whose products are added up in one partial sum. */
    private static final int RUN = 16384;

    private static final int TABLES = 4 * 256 * 3; // bytes of a grid's tables in shared memory
    private static final int UPDATES = 4 * BLOCK * BLOCK;
    private static final int PIECES = 4 * 33 * 132; // of 32 rows that are searched, and of importance
    private static final int GROUPS = 128; // of blocks that are searched together

    /**
     * A grid of levels on the GPU; both 0 for whole numbers.
     *
     * @param values address of 256 floats, those of the grid first
     * @param thresholds address of as many
     */
    record Tables(long values, long thresholds) {}

    /**
     * {@code struct Multiples}, and the units.
     *
     * @param units rows x blocks
     * @param groups of a block
     */
    record Multiples(CudaMatrix units, int groups, int lowest, int highest) {}

    private final Launcher launcher;
    private final Stream stream;

    GridKernels(Launcher launcher, Stream stream) {
        this.launcher = launcher;
        this.stream = stream;
    }

    /** {@code struct GridShape}, of a grid whose zeros stand in a matrix. */
    private static Pointer shape(CodeValues values) {
        return shape(values, false, 0, 0, 0, 0);
    }

    private static Pointer shape(GridSearch search) {
        return shape(
                search.values(),
                search.symmetric(),
                search.middle(),
                search.lowestZero(),
                search.highestZero(),
                search.reach());
    }

    private static Pointer shape(
            CodeValues values, boolean symmetric, int middle, int lowestZero, int highestZero, float span) {
        return Pointer.to(new int[] {
            levels(values),
            bits(values.lowest()),
            bits(values.highest()),
            symmetric ? 1 : 0,
            bits(middle),
            bits(lowestZero),
            bits(highestZero),
            bits(span)
        });
    }

    /** {@code struct SearchShape}. */
    private static Pointer shape(int rule, int factors, int zeros, StoredScale stored) {
        return Pointer.to(new int[] {
            rule,
            factors,
            zeros,
            scaleType(stored.type()),
            bits(stored.divisor()),
            bits(stored.smallest()),
            bits(stored.largest()),
            stored.signed() ? 1 : 0
        });
    }

    private static Pointer searched(GridSearch search) {
        return shape(rule(search.measure()), search.factors().length, search.zeros(), search.stored());
    }

    /** {@code struct BlockShape}. */
    private static Pointer shape(BlockSearch search) {
        return Pointer.to(new int[] {
            levels(search.values()),
            search.values().highest(),
            search.half(),
            search.length(),
            search.groups(),
            search.lowest(),
            search.highest(),
            search.minima() ? 1 : 0
        });
    }

    private static int levels(CodeValues values) {
        return values.levels() == null ? 0 : values.levels().values().length;
    }

    private static Pointer shape(@Nullable Multiples multiples) {
        return Pointer.to(
                multiples == null
                        ? new int[] {1, 1, 0, 0}
                        : new int[] {
                            multiples.groups(),
                            multiples.units().cols(),
                            bits(multiples.lowest()),
                            bits(multiples.highest())
                        });
    }

    private static int bits(float value) {
        return Float.floatToRawIntBits(value);
    }

    private static int scaleType(DType type) {
        switch (type) {
            case F32:
                return 0;
            case F16:
                return 1;
            case BF16:
                return 2;
            case F8_E4M3:
                return 3;
            case F8_E8M0:
                return 4;
            default:
                throw new IllegalArgumentException("No scale is stored as " + type);
        }
    }

    private static int rule(GridSearch.Measure measure) {
        switch (measure) {
            case NONE:
                return 0;
            case SQUARES:
                return 1;
            case POWERS:
                return 2;
        }
        throw new IllegalArgumentException("No measure " + measure);
    }

    /** @param orders address of {@code to.cols()} numbers of columns, or -1, for each member */
    void gatherColumns(CudaMatrix from, int members, long orders, CudaMatrix to) {
        launch(
                from.dtype() == DType.U8 ? "gather_columns_u8" : "gather_columns_f32",
                Geometry.rows(from.rows() / members).times(members),
                to.elements(),
                at(from),
                number((long) from.cols()),
                at(orders),
                number(to.cols()),
                at(to));
    }

    /** The sums in another order, over the tokens; nothing is added to the diagonal. */
    void orderHessian(CudaMatrix sum, long order, long noneDead, float tokens, CudaMatrix h) {
        launch(
                "order_hessian",
                Geometry.tiles(h.rows(), h.rows()),
                h.elements(),
                at(sum),
                number(h.rows()),
                at(order),
                at(noneDead),
                number(tokens),
                real(0),
                real(0),
                at(h));
    }

    /**
     * @param x address of the first of {@code cols} columns, {@code stride} elements from one row to the next
     * @param high addresses of bf16, {@code toStride} elements from one row to the next
     */
    void split(long x, long stride, int rows, int cols, long high, long low, long again, long toStride) {
        launch(
                "split_f32",
                Geometry.rows(rows),
                (long) rows * cols,
                at(x),
                number(stride),
                number(cols),
                at(high),
                at(low),
                at(again),
                number(toStride));
    }

    void mirrorLower(CudaMatrix m) {
        int n = m.rows();
        launch("mirror_lower", Geometry.tiles(n, n), m.elements(), at(m), number(n));
    }

    void reverseSymmetric(CudaMatrix h, CudaMatrix a) {
        square("reverse_symmetric", h, a);
    }

    void reverseLower(CudaMatrix l, CudaMatrix r) {
        square("reverse_lower", l, r);
    }

    private void square(String kernel, CudaMatrix from, CudaMatrix to) {
        int n = to.rows();
        launch(kernel, Geometry.tiles(n, n), to.elements(), at(from), number(n), at(to));
    }

    void transpose(CudaMatrix from, CudaMatrix to) {
        launch(
                "transpose_f32",
                Geometry.tiles(from.rows(), from.cols()),
                from.elements(),
                at(from),
                number(from.rows()),
                number(from.cols()),
                at(to));
    }

    /**
     * @param m (k * n) x n
     * @param diagonal k x n
     * @param bad address of an int, or 0
     */
    void diagonal(CudaMatrix m, CudaMatrix diagonal, long bad) {
        int n = m.cols();
        Geometry shape = Geometry.line(256, Geometry.ceil(n, 256)).times(diagonal.rows());
        launch("diagonal", shape, diagonal.elements(), at(m), number(n), at(diagonal), at(bad));
    }

    void columnSquares(CudaMatrix upper, CudaMatrix sums) {
        int n = upper.rows();
        launch("column_squares", Geometry.line(64, Geometry.ceil(n, 64)), n, at(upper), number(n), at(sums));
    }

    /**
     * @param factor (k * n) x n
     * @param diagonal k x n
     * @param update (k * width) x (n - from), of the rows from {@code from} on
     */
    void updates(CudaMatrix factor, CudaMatrix diagonal, int from, CudaMatrix update) {
        int members = diagonal.rows();
        launch(
                "updates",
                new Geometry(256, 1, Geometry.ceil(update.cols(), 1024), update.rows() / members, members, 0),
                update.elements(),
                at(factor),
                at(diagonal),
                number(factor.cols()),
                number(from),
                at(update));
    }

    /** @param groups address of a number of a group for each of {@code runs}, for each member */
    void searchRuns(
            CudaMatrix w,
            int members,
            int from,
            int length,
            GridSearch search,
            Tables tables,
            long importance,
            long factors,
            long powers,
            long groups,
            int runs,
            CudaMatrix scales,
            CudaMatrix zeros) {
        int rows = w.rows() / members;
        launch(
                "search_runs",
                new Geometry(256, 1, Geometry.ceil(rows, 32), runs, members, PIECES),
                (long) w.rows() * runs,
                at(w),
                number(rows),
                number(w.cols()),
                number(from),
                number(length),
                shape(search),
                searched(search),
                at(tables.values()),
                at(tables.thresholds()),
                at(importance),
                at(factors),
                at(powers),
                at(groups),
                number(scales.cols()),
                at(scales),
                at(zeros));
    }

    /** @param sums address of as many floats as there are rows */
    void rowSquares(CudaMatrix w, long sums) {
        Geometry shape = Geometry.line(128, Geometry.ceil(w.rows(), 128));
        launch("row_squares", shape, w.elements(), at(w), number(w.rows()), number(w.cols()), at(sums));
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
        launch(
                "search_blocks",
                new Geometry(GROUPS, 1, blocks, 1, 1, room),
                w.elements(),
                at(w),
                number(w.rows()),
                number(w.cols()),
                shape(search),
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

    /**
     * @param update of the block's rows, from its first column on
     * @param diagonal k x n
     */
    void sweepGiven(
            CudaMatrix original,
            CudaMatrix working,
            int from,
            CudaMatrix update,
            CudaMatrix diagonal,
            CodeValues values,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix codes,
            CudaMatrix error) {
        int rows = original.rows() / diagonal.rows();
        launch(
                "sweep_given",
                Geometry.lanes(rows, UPDATES + 4 * BLOCK + TABLES).times(diagonal.rows()),
                error.elements(),
                at(original),
                at(working),
                number((long) original.cols()),
                number(rows),
                number(from),
                number(error.cols()),
                at(update),
                number((long) update.cols()),
                at(diagonal.address(0, from)),
                shape(values),
                at(tables.values()),
                at(tables.thresholds()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                at(codes),
                at(error),
                at(0));
    }

    /** As {@link #sweepGiven}; importance, factors and powers are addresses. */
    void sweepLive(
            CudaMatrix original,
            CudaMatrix working,
            int from,
            CudaMatrix update,
            CudaMatrix diagonal,
            GridSearch search,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix codes,
            CudaMatrix error,
            int length,
            long importance,
            long factors,
            long powers) {
        int rows = original.rows() / diagonal.rows();
        launch(
                "sweep_live",
                Geometry.lanes(rows, UPDATES + 4 * BLOCK + TABLES + PIECES).times(diagonal.rows()),
                error.elements(),
                at(original),
                at(working),
                number((long) original.cols()),
                number(rows),
                number(from),
                number(error.cols()),
                at(update),
                number((long) update.cols()),
                at(diagonal.address(0, from)),
                shape(search),
                at(tables.values()),
                at(tables.thresholds()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                at(codes),
                at(error),
                at(0),
                number(length),
                searched(search),
                at(importance),
                at(factors),
                at(powers));
    }

    /**
     * Columns [column, column + width) of {@code free}, which are {@code original}'s from {@code from} on.
     *
     * @param moved rows x width
     */
    void freeColumns(
            CudaMatrix original,
            int members,
            int from,
            CudaMatrix update,
            CudaMatrix free,
            int column,
            CudaMatrix moved) {
        int rows = original.rows() / members;
        launch(
                "free_columns",
                Geometry.lanes(rows, UPDATES).times(members),
                moved.elements(),
                at(original.address(0, from)),
                number((long) original.cols()),
                number(rows),
                number(moved.cols()),
                at(update),
                number((long) update.cols()),
                at(free.address(0, column)),
                number((long) free.cols()),
                at(moved));
    }

    /** @param stored null where scales stay */
    void descend(
            CudaMatrix gradient,
            CudaMatrix hessian,
            int from,
            CodeValues values,
            Tables tables,
            int group,
            CudaMatrix scales,
            CudaMatrix zeros,
            @Nullable Multiples multiples,
            @Nullable StoredScale stored,
            CudaMatrix codes,
            CudaMatrix change) {
        boolean narrow = change.cols() <= BLOCK;
        int members = hessian.rows() / hessian.cols();
        int rows = gradient.rows() / members;
        StoredScale any = new StoredScale(DType.F32, 1, Float.MIN_NORMAL, Float.MAX_VALUE, false);
        launch(
                narrow ? "descend_128" : "descend_256",
                new Geometry(
                        256,
                        1,
                        Geometry.ceil(rows, narrow ? 32 : 16),
                        members,
                        1,
                        4 * 32 * (narrow ? BLOCK : WIDEST) + TABLES),
                change.elements(),
                at(gradient),
                at(hessian),
                number(rows),
                number(gradient.cols()),
                number(from),
                number(change.cols()),
                shape(values),
                shape(0, 0, 1, stored == null ? any : stored),
                at(tables.values()),
                at(tables.thresholds()),
                number(group),
                number(scales.cols()),
                at(scales),
                at(zeros),
                Kernels.orNull(multiples == null ? null : multiples.units()),
                shape(multiples),
                number(stored == null ? 0 : 1),
                at(codes),
                at(change));
    }

    void quantizationError(
            CudaMatrix weights,
            CudaMatrix codes,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix error) {
        launch(
                "quantization_error",
                Geometry.rows(weights.rows()),
                weights.elements(),
                at(weights),
                at(codes),
                number(weights.cols()),
                at(tables.values()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                at(error));
    }

    void nearestCodes(
            CudaMatrix w,
            CodeValues values,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix codes) {
        launch(
                "nearest_codes",
                Geometry.rows(w.rows()),
                w.elements(),
                at(w),
                number(w.cols()),
                shape(values),
                at(tables.thresholds()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                number(0),
                number(0),
                at(codes));
    }

    /** Of each member. */
    static int partialSums(CudaMatrix matrix, int members) {
        return Geometry.ceil(matrix.elements() / members, RUN);
    }

    /** @param partial address of {@link #partialSums} doubles for each member */
    void dot(CudaMatrix a, CudaMatrix b, int members, long partial) {
        launch(
                "dot_f32",
                Geometry.line(256, partialSums(a, members)).times(members),
                a.elements(),
                at(a),
                at(b),
                number(a.elements() / members),
                at(partial));
    }

    /**
     * @param count doubles of each member
     * @param sums address of a double for each
     */
    void sums(long doubles, int count, int members, long sums) {
        launch("sum_f64", Geometry.line(256, members), count, at(doubles), number(count), at(sums));
    }

    private void launch(String kernel, Geometry shape, long elements, Pointer... arguments) {
        if (elements > 0) {
            launcher.launch(stream, kernel, shape, arguments);
        }
    }

    private static Pointer real(double value) {
        return Pointer.to(new double[] {value});
    }
}
