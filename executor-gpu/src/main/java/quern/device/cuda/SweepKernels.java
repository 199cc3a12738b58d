package quern.device.cuda;

import static quern.device.cuda.Kernels.at;
import static quern.device.cuda.Kernels.number;

import java.util.Arrays;
import jcuda.Pointer;
import org.jspecify.annotations.Nullable;
import quern.device.CodeValues;
import quern.device.StoredScale;
import quern.device.cuda.GridShapes.Multiples;
import quern.device.cuda.GridShapes.Tables;
import quern.device.cuda.Launcher.Geometry;
import quern.device.cuda.SearchKernels.Trial;

/** The kernels that go through the columns of a block one after the other: sweeps and coordinate descent. */
final class SweepKernels {
    /** Columns of a sweep. */
    static final int BLOCK = 128;
    /** Columns of a block of coordinate descent. */
    static final int WIDEST = 256;

    private static final int TABLES = 4 * 256 * 3; // bytes of a grid's tables in shared memory
    private static final int UPDATES = 4 * BLOCK * BLOCK;

    /**
     * What is swept, the columns from {@code from} on, as many as the error has.
     *
     * @param update of the block's rows, from its first column on
     * @param diagonal k x n
     * @param groupOfColumn address of numbers
     * @param error written: original - quantized
     */
    record Block(
            CudaMatrix original,
            CudaMatrix working,
            int from,
            CudaMatrix update,
            CudaMatrix diagonal,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix codes,
            CudaMatrix error) {}

    private final Kernels kernels;

    SweepKernels(Kernels kernels) {
        this.kernels = kernels;
    }

    /**
     * @param factor (k * n) x n
     * @param diagonal k x n
     * @param update (k * width) x (n - from), of the rows from {@code from} on
     */
    void updates(CudaMatrix factor, CudaMatrix diagonal, int from, CudaMatrix update) {
        int members = diagonal.rows();
        kernels.launch(
                "updates",
                new Geometry(256, 1, Geometry.ceil(update.cols(), 1024), update.rows() / members, members, 0),
                update.elements(),
                at(factor),
                at(diagonal),
                number(factor.cols()),
                number(from),
                at(update));
    }

    /** By scales that are there. */
    void sweepGiven(Block block, CodeValues values, Tables tables) {
        sweep("sweep_given", block, GridShapes.grid(values), tables, 0);
    }

    /** Finds the scales on its way. */
    void sweepLive(Block block, Trial trial) {
        sweep(
                "sweep_live",
                block,
                GridShapes.grid(trial.search()),
                trial.tables(),
                SearchKernels.PIECES,
                number(trial.length()),
                GridShapes.search(trial.search()),
                at(trial.importance()),
                at(trial.factors()),
                at(trial.powers()));
    }

    /**
     * @param room bytes of shared memory beside what every sweep needs
     * @param further parameters behind those of every sweep
     */
    private void sweep(String kernel, Block block, Pointer grid, Tables tables, int room, Pointer... further) {
        CudaMatrix original = block.original();
        CudaMatrix update = block.update();
        CudaMatrix diagonal = block.diagonal();
        int rows = original.rows() / diagonal.rows();
        Pointer[] own = {
            at(original),
            at(block.working()),
            number((long) original.cols()),
            number(rows),
            number(block.from()),
            number(block.error().cols()),
            at(update),
            number((long) update.cols()),
            at(diagonal.address(0, block.from())),
            grid,
            at(tables.values()),
            at(tables.thresholds()),
            at(block.groupOfColumn()),
            number(block.scales().cols()),
            at(block.scales()),
            at(block.zeros()),
            at(block.codes()),
            at(block.error()),
            at(0)
        };
        Pointer[] all = Arrays.copyOf(own, own.length + further.length);
        System.arraycopy(further, 0, all, own.length, further.length);
        kernels.launch(
                kernel,
                Geometry.lanes(rows, UPDATES + 4 * BLOCK + TABLES + room).times(diagonal.rows()),
                block.error().elements(),
                all);
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
        kernels.launch(
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
        kernels.launch(
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
                GridShapes.grid(values),
                GridShapes.search(stored),
                at(tables.values()),
                at(tables.thresholds()),
                number(group),
                number(scales.cols()),
                at(scales),
                at(zeros),
                Kernels.orNull(multiples == null ? null : multiples.units()),
                GridShapes.multiples(multiples),
                number(stored == null ? 0 : 1),
                at(codes),
                at(change));
    }
}
