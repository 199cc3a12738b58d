package quern.device.cuda;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceException;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.Power;
import quern.device.SolveKernels;
import quern.device.StoredScale;
import quern.device.cpu.CpuDevices;
import quern.tensor.DType;
import quern.tensor.Matrix;
import quern.tensor.StepFunction;

/**
 * The solve by our kernels, cuBLAS and cuSOLVER. Codes, scales and zeros are those of the loops in Java to the bit, given the same
 * operands; products and factorizations have the libraries' own order of sums. Grids whose scales are multiples of a unit, and scales
 * with a sign, are the host's: no kernel fits them.
 */
final class CudaSolve implements SolveKernels {
    /** A panel of a very large weight takes some gigabytes. */
    private static final int ROWS = 16_384;

    private static final GridKernels.Tables WHOLE_NUMBERS = new GridKernels.Tables(0, 0);
    private static final int TABLE = 256;

    private final CudaDevice device;
    private final GridKernels kernels;
    private final Device host = CpuDevices.plain();
    /** Tables that were needed once stay: there are few. */
    private final Map<StepFunction, GridKernels.Tables> levels = new ConcurrentHashMap<>();

    private @Nullable CudaMatrix powers; // guarded by this

    CudaSolve(CudaDevice device, GridKernels kernels) {
        this.device = device;
        this.kernels = kernels;
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

    /** Columns [from, to). */
    private CudaMatrix slice(CudaMatrix matrix, int from, int to) {
        return device.filled(matrix.rows(), to - from, matrix.dtype(), some -> {
            long pitch = (long) matrix.cols() * matrix.dtype().bytes();
            long width = (long) some.cols() * some.dtype().bytes();
            device.copyRuns(matrix.address(0, from), pitch, some.address(), width, width, some.rows());
        });
    }

    /** Puts columns into a matrix of the same type, from {@code column} on. */
    private void put(CudaMatrix columns, CudaMatrix into, int column) {
        int each = into.dtype().bytes();
        long width = (long) columns.cols() * each;
        device.copyRuns(
                columns.address(), width, into.address(0, column), (long) into.cols() * each, width, into.rows());
    }

    @Override
    public void mirrorLower(DeviceMatrix matrix) {
        kernels.mirrorLower(device.own(matrix));
    }

    @Override
    public float[] diagonal(DeviceMatrix matrix) {
        CudaMatrix from = device.own(matrix);
        int n = from.rows();
        try (CudaMatrix diagonal = device.allocate(1, n, DType.F32)) {
            kernels.diagonal(from, diagonal, 0);
            return device.download(diagonal).values();
        }
    }

    @Override
    public DeviceMatrix hessian(DeviceMatrix sum, long tokens, int[] order, float[] diagonal) {
        int n = order.length;
        return device.filled(n, n, DType.F32, h -> {
            try (Arena.Block numbers = device.numbers(order);
                    Arena.Block noneDead = device.cleared(n);
                    DeviceMatrix damped = device.upload(new Matrix(1, n, diagonal), DType.F32)) {
                kernels.orderHessian(device.own(sum), numbers.address(), noneDead.address(), tokens, h);
                int each = Float.BYTES;
                device.copyRuns(device.own(damped).address(), each, h.address(), each * (n + 1L), each, n);
            }
        });
    }

    /** With J the reversal of the order: J H J = L LT, hence H = (J L J) (J L J)T, and J L J is upper. */
    @Override
    public boolean factor(DeviceMatrix hessian) {
        CudaMatrix h = device.own(hessian);
        int n = h.rows();
        try (CudaMatrix reversed = device.allocate(n, n, DType.F32);
                CudaMatrix diagonal = device.allocate(1, n, DType.F32);
                Arena.Block told = device.cleared(2 * Integer.BYTES)) {
            kernels.reverseSymmetric(h, reversed);
            device.products().cholesky(reversed, told.address());
            kernels.reverseLower(reversed, h);
            kernels.diagonal(h, diagonal, told.address() + Integer.BYTES);
            ByteBuffer numbers = device.transfers().download(told.address(), 2 * Integer.BYTES);
            if (numbers.getInt(0) < 0) {
                throw new DeviceException("cusolverDnXpotrf refused its argument " + -numbers.getInt(0));
            }
            return numbers.getInt(0) == 0 && numbers.getInt(Integer.BYTES) == 0;
        }
    }

    /** inv(H) = inv(R)T inv(R): the squares of the columns of inv(R), which is found as the transposed inverse of RT, a lower triangle. */
    @Override
    public float[] inverseDiagonal(DeviceMatrix factor) {
        CudaMatrix r = device.own(factor);
        int n = r.rows();
        try (CudaMatrix lower = device.filled(n, n, DType.F32, to -> kernels.transpose(r, to));
                Arena.Block told = device.cleared(Integer.BYTES)) {
            device.products().invertTriangle(lower, told.address());
            int info =
                    device.transfers().download(told.address(), Integer.BYTES).getInt(0);
            if (info != 0) {
                throw new DeviceException("cusolverDnXtrtri could not invert a triangle: info " + info);
            }
            try (CudaMatrix inverse = device.filled(n, n, DType.F32, to -> kernels.transpose(lower, to));
                    CudaMatrix sums = device.filled(1, n, DType.F32, to -> kernels.columnSquares(inverse, to))) {
                return device.download(sums).values();
            }
        }
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
        long weighing = importance == null ? 0 : device.own(importance).address();
        Matrix factors = new Matrix(1, search.factors().length, search.factors());
        try (DeviceMatrix tried = device.upload(factors, DType.F32);
                Arena.Block numbers = numbers(groups)) {
            kernels.searchRuns(
                    device.own(weights),
                    groups.length,
                    from,
                    length,
                    search,
                    tables(search.values()),
                    weighing,
                    device.own(tried).address(),
                    search.measure() == Measure.POWERS ? powers() : 0,
                    numbers.address(),
                    groups[0].length,
                    device.own(grids.scales()),
                    device.own(grids.zeros()));
        }
    }

    private GridKernels.Tables tables(CodeValues values) {
        StepFunction steps = values.levels();
        return steps == null ? WHOLE_NUMBERS : levels.computeIfAbsent(steps, this::uploaded);
    }

    private GridKernels.Tables uploaded(StepFunction steps) {
        if (steps.values().length > TABLE) {
            throw new IllegalArgumentException("A grid of " + steps.values().length + " levels");
        }
        // Owned by the arena from now on, and closed with it.
        return new GridKernels.Tables(
                table(steps.values()).address(), table(steps.thresholds()).address());
    }

    /** The kernels read as many, whatever the grid has. */
    private CudaMatrix table(float[] values) {
        return device.own(device.upload(new Matrix(1, TABLE, Arrays.copyOf(values, TABLE)), DType.F32));
    }

    private synchronized long powers() {
        if (powers == null) {
            float[] table = Power.table();
            powers = device.own(device.upload(new Matrix(1, table.length, table), DType.F32));
        }
        return powers.address();
    }

    @Override
    public DeviceMatrix relax(DeviceMatrix original, DeviceMatrix working, DeviceMatrix factor, int from, int to) {
        CudaMatrix w = device.own(original);
        CudaMatrix r = device.own(factor);
        CudaMatrix free = slice(device.own(working), from, to);
        try (CudaMatrix diagonal = diagonal(r)) {
            for (int at = from; at < to; at += GridKernels.BLOCK) {
                int end = Math.min(to, at + GridKernels.BLOCK);
                try (CudaMatrix update = updates(r, diagonal, at, end);
                        CudaMatrix moved = device.allocate(w.rows(), end - at, DType.F32)) {
                    kernels.freeColumns(w, members(r), at, update, free, at - from, moved);
                    if (end < to) {
                        addProducts(members(r), moved, update, 0, end - at, to - end, free, end - from);
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
                update -> kernels.updates(factor, diagonal, from, update));
    }

    /** sum[:, column:column+count] += a * b[row:row+a.cols(), first:first+count] of each member. */
    private void addProducts(
            int members, CudaMatrix a, CudaMatrix b, int row, int first, int count, CudaMatrix sum, int column) {
        boolean inPlace = apart(a, members) && apart(b, members) && apart(sum, members);
        for (int m = 0; m < members; m++) {
            if (inPlace) {
                long top = (long) m * (a.rows() / members);
                long right = b.address((long) m * (b.rows() / members) + row, first);
                addProduct(a.address(top, 0), a.rows() / members, a.cols(), right, b.cols(), count, sum, top, column);
                continue;
            }
            try (CudaMatrix left = member(a, members, m);
                    CudaMatrix right = member(b, members, m);
                    CudaMatrix into = member(sum, members, m)) {
                long there = right.address(row, first);
                addProduct(left.address(), left.rows(), left.cols(), there, b.cols(), count, into, 0, column);
                device.transfers().copy(into.address(), sum.address((long) m * into.rows(), 0), into.bytes());
            }
        }
    }

    /** Whether members begin as matrices of their own do, for by the alignment of an address a library chooses its way. */
    private static boolean apart(CudaMatrix stack, int members) {
        return members == 1 || stack.bytes() / members % Arena.ALIGNMENT == 0;
    }

    /** A copy. */
    private CudaMatrix member(CudaMatrix stack, int members, int member) {
        int rows = stack.rows() / members;
        return device.filled(
                rows,
                stack.cols(),
                stack.dtype(),
                to -> device.transfers().copy(stack.address((long) member * rows, 0), to.address(), to.bytes()));
    }

    /**
     * One product, and not one of a batch: how the library cuts it is then what it is for a single linear, and so are the bits.
     *
     * @param a address of rows x inner
     * @param b address of inner x count, ldb elements from one row to the next
     */
    private void addProduct(
            long a, int rows, int inner, long b, int ldb, int count, CudaMatrix sum, long row, int column) {
        device.products()
                .multiply(
                        DType.F32,
                        DType.F32,
                        false,
                        false,
                        rows,
                        count,
                        inner,
                        a,
                        inner,
                        b,
                        ldb,
                        1,
                        sum.address(row, column),
                        sum.cols());
    }

    @Override
    public void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            DeviceMatrix error,
            Grids grids,
            int[][] groupOfColumn,
            DeviceMatrix codes) {
        if (to - from > GridKernels.BLOCK) {
            throw new IllegalArgumentException("A block of " + (to - from) + " columns; at most " + GridKernels.BLOCK);
        }
        CudaMatrix r = device.own(factor);
        try (CudaMatrix diagonal = diagonal(r);
                CudaMatrix update = updates(r, diagonal, from, to);
                Arena.Block numbers = numbers(groupOfColumn)) {
            kernels.sweepGiven(
                    device.own(original),
                    device.own(working),
                    from,
                    update,
                    diagonal,
                    grids.values(),
                    tables(grids.values()),
                    numbers.address(),
                    device.own(grids.scales()),
                    device.own(grids.zeros()),
                    device.own(codes),
                    device.own(error));
        }
    }

    @Override
    public void propagate(DeviceMatrix error, DeviceMatrix factor, int from, int to, DeviceMatrix working) {
        CudaMatrix r = device.own(factor);
        int behind = working.cols() - to;
        if (behind == 0) {
            return;
        }
        try (CudaMatrix diagonal = diagonal(r);
                CudaMatrix update = updates(r, diagonal, from, to)) {
            addProducts(members(r), device.own(error), update, 0, to - from, behind, device.own(working), to);
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
        if (to - from > GridKernels.WIDEST) {
            throw new IllegalArgumentException("A block of " + (to - from) + " columns; at most " + GridKernels.WIDEST);
        }
        if (stored != null && grids.multiples() != null) {
            return descendOnHost(g, h, from, to, grids, group, device.own(codes), stored);
        }
        return device.filled(
                g.rows(),
                to - from,
                DType.F32,
                change -> kernels.descend(
                        g,
                        h,
                        from,
                        grids.values(),
                        tables(grids.values()),
                        group,
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        stored,
                        device.own(codes),
                        change));
    }

    /** The block alone, with its group as the only one. */
    private DeviceMatrix descendOnHost(
            CudaMatrix gradient,
            CudaMatrix hessian,
            int from,
            int to,
            Grids grids,
            int group,
            CudaMatrix codes,
            StoredScale stored) {
        Grids.Multiples multiples = grids.multiples();
        CudaMatrix scales = device.own(grids.scales());
        int[] rows = IntStream.range(0, hessian.rows())
                .filter(row -> row % hessian.cols() >= from && row % hessian.cols() < to)
                .toArray();
        try (DeviceMatrix slope = toHost(gradient, from, to);
                DeviceMatrix rowsOfBlock = device.forward().rows(hessian, rows);
                DeviceMatrix curvature = toHost(device.own(rowsOfBlock), from, to);
                CudaMatrix before = slice(codes, from, to);
                DeviceMatrix chosen = host.upload(device.codes(before), before.rows(), before.cols());
                Grids one = new Grids(
                        grids.values(),
                        toHost(scales, group, group + 1),
                        toHost(device.own(grids.zeros()), group, group + 1),
                        multiples == null ? null : onHost(multiples, group));
                DeviceMatrix change = host.solve().descend(slope, curvature, 0, to - from, one, 0, chosen, stored);
                DeviceMatrix fitted = device.upload(host.download(one.scales()), DType.F32);
                DeviceMatrix after = device.upload(host.codes(chosen), before.rows(), before.cols())) {
            put(device.own(fitted), scales, group);
            put(device.own(after), codes, from);
            return device.upload(host.download(change), DType.F32);
        }
    }

    private Grids.Multiples onHost(Grids.Multiples multiples, int group) {
        int block = group / multiples.groups();
        return new Grids.Multiples(
                toHost(device.own(multiples.units()), block, block + 1),
                multiples.groups(),
                multiples.lowest(),
                multiples.highest());
    }

    private DeviceMatrix toHost(CudaMatrix matrix, int from, int to) {
        try (CudaMatrix some = slice(matrix, from, to)) {
            return host.upload(device.download(some), DType.F32);
        }
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
                        tables(grids.values()),
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
                        tables(grids.values()),
                        numbers.address(),
                        device.own(grids.scales()),
                        device.own(grids.zeros()),
                        error);
            }
        });
    }

    @Override
    public void addProduct(int members, DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum) {
        addProducts(members, device.own(a), device.own(b), from, 0, sum.cols(), device.own(sum), 0);
    }

    @Override
    public double[] loss(DeviceMatrix error, DeviceMatrix hessian, double... damping) {
        CudaMatrix e = device.own(error);
        int members = damping.length;
        try (DeviceMatrix product = device.zeros(e.rows(), e.cols(), DType.F32)) {
            addProduct(members, error, hessian, 0, e.cols(), product);
            double[] losses = dot(e, device.own(product), members);
            double[] squares = dot(e, e, members);
            for (int m = 0; m < members; m++) {
                losses[m] -= damping[m] * squares[m];
            }
            return losses;
        }
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
