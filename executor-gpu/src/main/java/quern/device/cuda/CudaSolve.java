package quern.device.cuda;

import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import quern.device.BlockSearch;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.SolveKernels;
import quern.device.StoredScale;
import quern.device.cuda.GridShapes.Multiples;
import quern.device.cuda.SearchKernels.Trial;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The solve by our kernels, cuBLAS and cuSOLVER. Codes, scales and zeros are those of the loops in Java to the bit, given the same
 * operands; products and factorizations have the libraries' own order of sums.
 */
final class CudaSolve implements SolveKernels {
    /** A panel of a very large weight takes some gigabytes. */
    private static final int ROWS = 16_384;

    private final CudaDevice device;
    private final GridKernels kernels;
    private final SearchKernels searches;
    private final SweepKernels sweeps;
    private final GridTables tables;
    private final Factorization factorization;
    private final StackProducts products;

    CudaSolve(CudaDevice device) {
        this.device = device;
        kernels = new GridKernels(device.kernels());
        searches = new SearchKernels(device.kernels());
        sweeps = new SweepKernels(device.kernels());
        tables = new GridTables(device);
        factorization = new Factorization(device, kernels);
        products = new StackProducts(device, kernels);
    }

    @Override
    public int rowsAtATime() {
        return ROWS;
    }

    /** Of the Hessians or factors of a stack. */
    private static int members(DeviceMatrix squares) {
        return squares.rows() / squares.cols();
    }

    @Override
    public DeviceMatrix stack(List<DeviceMatrix> members) {
        CudaMatrix first = device.own(members.get(0));
        return device.filled(members.size() * first.rows(), first.cols(), first.dtype(), to -> {
            for (int m = 0; m < members.size(); m++) {
                CudaMatrix from = device.own(members.get(m));
                device.transfers().copy(from.address(), to.address((long) m * first.rows(), 0), from.bytes());
            }
        });
    }

    @Override
    public DeviceMatrix columns(DeviceMatrix matrix, int[]... orders) {
        CudaMatrix from = device.own(matrix);
        return device.filled(from.rows(), orders[0].length, from.dtype(), to -> {
            try (Arena.Block numbers = numbers(orders)) {
                kernels.gatherColumns(from, orders.length, numbers.address(), to);
            }
        });
    }

    /** Those of each member, one after the other. */
    private Arena.Block numbers(int[][] ofMembers) {
        return device.numbers(
                Arrays.stream(ofMembers).flatMapToInt(Arrays::stream).toArray());
    }

    @Override
    public void mirrorLower(DeviceMatrix matrix) {
        kernels.mirrorLower(device.own(matrix));
    }

    @Override
    public float[] diagonal(DeviceMatrix matrix) {
        return factorization.diagonal(device.own(matrix));
    }

    @Override
    public DeviceMatrix hessian(DeviceMatrix sum, long tokens, int[] order, float[] diagonal) {
        return factorization.hessian(device.own(sum), tokens, order, diagonal);
    }

    @Override
    public boolean factor(DeviceMatrix hessian) {
        return factorization.factor(device.own(hessian));
    }

    @Override
    public float[] inverseDiagonal(DeviceMatrix factor) {
        return factorization.inverseDiagonal(device.own(factor));
    }

    @Override
    public DeviceMatrix divide(DeviceMatrix matrix, DeviceMatrix factor) {
        return factorization.divide(device.own(matrix), device.own(factor));
    }

    @Override
    public void search(
            DeviceMatrix weights,
            @Nullable DeviceMatrix importance,
            GridSearch search,
            int from,
            int length,
            int[][] groups,
            Grids grids) {
        try (DeviceMatrix factors = factors(search);
                Arena.Block numbers = numbers(groups)) {
            searches.searchRuns(
                    device.own(weights),
                    groups.length,
                    from,
                    trial(search, length, importance, factors),
                    numbers.address(),
                    groups[0].length,
                    device.own(grids.scales()),
                    device.own(grids.zeros()));
        }
    }

    private DeviceMatrix factors(GridSearch search) {
        return device.upload(new Matrix(1, search.factors().length, search.factors()), DType.F32);
    }

    private Trial trial(GridSearch search, int length, @Nullable DeviceMatrix importance, DeviceMatrix factors) {
        return new Trial(
                search,
                length,
                tables.of(search.values()),
                importance == null ? 0 : device.own(importance).address(),
                device.own(factors).address(),
                search.measure() == Measure.POWERS ? tables.powers() : 0);
    }

    @Override
    public DeviceMatrix search(
            DeviceMatrix weights, @Nullable DeviceMatrix importance, BlockSearch search, Grids grids) {
        CudaMatrix w = device.own(weights);
        Grids.Multiples multiples = grids.multiples();
        boolean weighed = importance != null && search.weighsByRow();
        return device.filled(w.rows(), w.cols(), DType.U8, codes -> {
            try (Arena.Block squares = device.arena().allocate((long) w.rows() * Float.BYTES)) {
                if (weighed) {
                    searches.rowSquares(w, squares.address());
                }
                searches.searchBlocks(
                        w,
                        search,
                        tables.of(search.values()),
                        importance == null ? 0 : device.own(importance).address(),
                        weighed ? squares.address() : 0,
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        multiples == null ? 0 : device.own(multiples.units()).address(),
                        multiples == null || multiples.minima() == null
                                ? 0
                                : device.own(multiples.minima()).address(),
                        codes);
            }
        });
    }

    @Override
    public DeviceMatrix relax(DeviceMatrix original, DeviceMatrix working, DeviceMatrix factor, int from, int to) {
        CudaMatrix w = device.own(original);
        CudaMatrix r = device.own(factor);
        CudaMatrix free = device.columns(device.own(working), from, to);
        try (CudaMatrix diagonal = diagonal(r)) {
            for (int at = from; at < to; at += SweepKernels.BLOCK) {
                int end = Math.min(to, at + SweepKernels.BLOCK);
                try (CudaMatrix update = updates(r, diagonal, at, end);
                        CudaMatrix moved = device.allocate(w.rows(), end - at, DType.F32)) {
                    sweeps.freeColumns(w, members(r), at, update, free, at - from, moved);
                    if (end < to) {
                        products.add(members(r), moved, update, 0, end - at, to - end, free, end - from);
                    }
                }
            }
            return free;
        } catch (RuntimeException e) {
            free.close();
            throw e;
        }
    }

    /** k x n. */
    private CudaMatrix diagonal(CudaMatrix factor) {
        return device.filled(members(factor), factor.cols(), DType.F32, to -> kernels.diagonal(factor, to, 0));
    }

    /** R[i, j] / R[j, j] for the rows [from, to) and the columns from {@code from} on, (k * (to - from)) x (n - from). */
    private CudaMatrix updates(CudaMatrix factor, CudaMatrix diagonal, int from, int to) {
        return device.filled(
                members(factor) * (to - from),
                factor.cols() - from,
                DType.F32,
                update -> sweeps.updates(factor, diagonal, from, update));
    }

    @Override
    public void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            Grids grids,
            int[][] groupOfColumn,
            DeviceMatrix codes) {
        sweep(
                original,
                working,
                factor,
                from,
                to,
                grids,
                groupOfColumn,
                codes,
                block -> sweeps.sweepGiven(block, grids.values(), tables.of(grids.values())));
    }

    /** In one launch, where groups begin at multiples of four columns. */
    @Override
    public void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            DeviceMatrix importance,
            GridSearch search,
            int length,
            int[][] groupOfColumn,
            Grids grids,
            DeviceMatrix codes) {
        if (length % 4 != 0) {
            SolveKernels.super.sweep(
                    original, working, factor, from, to, importance, search, length, groupOfColumn, grids, codes);
            return;
        }
        try (DeviceMatrix factors = factors(search)) {
            Trial trial = trial(search, length, importance, factors);
            sweep(
                    original,
                    working,
                    factor,
                    from,
                    to,
                    grids,
                    groupOfColumn,
                    codes,
                    block -> sweeps.sweepLive(block, trial));
        }
    }

    /** A kernel for the columns [from, to), and a product for those behind. */
    private void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            Grids grids,
            int[][] groupOfColumn,
            DeviceMatrix codes,
            Consumer<SweepKernels.Block> kernel) {
        if (to - from > SweepKernels.BLOCK) {
            throw new IllegalArgumentException("A block of " + (to - from) + " columns; at most " + SweepKernels.BLOCK);
        }
        CudaMatrix w = device.own(working);
        CudaMatrix r = device.own(factor);
        try (CudaMatrix diagonal = diagonal(r);
                CudaMatrix update = updates(r, diagonal, from, to);
                CudaMatrix error = device.allocate(w.rows(), to - from, DType.F32);
                Arena.Block numbers = numbers(groupOfColumn)) {
            kernel.accept(new SweepKernels.Block(
                    device.own(original),
                    w,
                    from,
                    update,
                    diagonal,
                    numbers.address(),
                    device.own(grids.scales()),
                    device.own(grids.zeros()),
                    device.own(codes),
                    error));
            if (to < w.cols()) {
                products.add(members(r), error, update, 0, to - from, w.cols() - to, w, to);
            }
        }
    }

    @Override
    public DeviceMatrix descend(
            DeviceMatrix gradient,
            DeviceMatrix hessian,
            int from,
            int to,
            Grids grids,
            int group,
            DeviceMatrix codes,
            @Nullable StoredScale stored) {
        CudaMatrix g = device.own(gradient);
        CudaMatrix h = device.own(hessian);
        if (to - from > SweepKernels.WIDEST) {
            throw new IllegalArgumentException(
                    "A block of " + (to - from) + " columns; at most " + SweepKernels.WIDEST);
        }
        return device.filled(
                g.rows(),
                to - from,
                DType.F32,
                change -> sweeps.descend(
                        g,
                        h,
                        from,
                        grids.values(),
                        tables.of(grids.values()),
                        group,
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        multiples(grids),
                        stored,
                        device.own(codes),
                        change));
    }

    private @Nullable Multiples multiples(Grids grids) {
        Grids.Multiples multiples = grids.multiples();
        return multiples == null
                ? null
                : new Multiples(
                        device.own(multiples.units()), multiples.groups(), multiples.lowest(), multiples.highest());
    }

    /** Zeros are whole numbers: where minima have their place, the format itself rounds. */
    @Override
    public DeviceMatrix round(DeviceMatrix weights, Grids grids, int[] groupOfColumn) {
        CudaMatrix w = device.own(weights);
        return device.filled(w.rows(), w.cols(), DType.U8, codes -> {
            try (Arena.Block numbers = device.numbers(groupOfColumn)) {
                kernels.nearestCodes(
                        w,
                        grids.values(),
                        tables.of(grids.values()),
                        numbers.address(),
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        codes);
            }
        });
    }

    @Override
    public DeviceMatrix error(DeviceMatrix weights, DeviceMatrix codes, Grids grids, int[] groupOfColumn) {
        CudaMatrix w = device.own(weights);
        return device.filled(w.rows(), w.cols(), DType.F32, error -> {
            try (Arena.Block numbers = device.numbers(groupOfColumn)) {
                kernels.quantizationError(
                        w,
                        device.own(codes),
                        tables.of(grids.values()),
                        numbers.address(),
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        error);
            }
        });
    }

    @Override
    public void addProduct(int members, DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum) {
        products.addSplit(members, device.own(a), device.own(b), from, device.own(sum));
    }

    @Override
    public double[] loss(DeviceMatrix error, DeviceMatrix product, double... damping) {
        CudaMatrix e = device.own(error);
        double[] losses = dot(e, device.own(product), damping.length);
        double[] squares = dot(e, e, damping.length);
        for (int m = 0; m < damping.length; m++) {
            losses[m] -= damping[m] * squares[m];
        }
        return losses;
    }

    /** The sum of all products of each member, in double. */
    private double[] dot(CudaMatrix a, CudaMatrix b, int members) {
        int count = GridKernels.partialSums(a, members);
        try (Arena.Block partial = device.arena().allocate((long) members * count * Double.BYTES);
                Arena.Block sums = device.cleared(members * Double.BYTES)) {
            kernels.dot(a, b, members, partial.address());
            kernels.sums(partial.address(), count, members, sums.address());
            double[] result = new double[members];
            device.transfers()
                    .download(sums.address(), members * Double.BYTES)
                    .asDoubleBuffer()
                    .get(result);
            return result;
        }
    }
}
