package quern.device.cpu;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.BlockSearch;
import quern.device.BlockSearchLoops;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.GridSearchLoops;
import quern.device.Grids;
import quern.device.Grids.Multiples;
import quern.device.SolveKernels;
import quern.device.StoredScale;
import quern.tensor.DType;

/** The steps of a solve that are loops in Java on both devices of the CPU: all but factorizations and products. */
abstract class HostSolve implements SolveKernels {
    /** Rows whose copies stay small beside a large weight. */
    private static final int ROWS = 1024;

    /** The matrix as one of the device's own. */
    abstract FloatRows rows(DeviceMatrix matrix);

    /** A new F32 matrix with undefined content. */
    abstract FloatRows allocate(int rows, int cols);

    @Override
    public final int rowsAtATime() {
        return ROWS;
    }

    @Override
    public final DeviceMatrix stack(List<DeviceMatrix> members) {
        DeviceMatrix first = members.get(0);
        FloatRows stack = allocate(members.size() * first.rows(), first.cols());
        float[] line = new float[first.cols()];
        for (int row = 0; row < stack.rows(); row++) {
            rows(members.get(row / first.rows())).read(row % first.rows(), 0, line.length, line, 0);
            stack.write(row, 0, line.length, line, 0);
        }
        return stack;
    }

    /** Of the Hessians or factors of a stack. */
    private static int members(DeviceMatrix squares) {
        return squares.rows() / squares.cols();
    }

    @Override
    public final DeviceMatrix columns(DeviceMatrix matrix, int[]... orders) {
        if (matrix.dtype() == DType.U8) {
            return HeapCodes.own(matrix).columns(orders);
        }
        FloatRows from = rows(matrix);
        FloatRows result = allocate(from.rows(), orders[0].length);
        float[] line = new float[from.cols()];
        float[] ordered = new float[result.cols()];
        for (int row = 0; row < from.rows(); row++) {
            int[] order = orders[row / (from.rows() / orders.length)];
            from.read(row, 0, line.length, line, 0);
            for (int j = 0; j < ordered.length; j++) {
                ordered[j] = order[j] < 0 ? 0 : line[order[j]];
            }
            result.write(row, 0, ordered.length, ordered, 0);
        }
        return result;
    }

    @Override
    public final void mirrorLower(DeviceMatrix matrix) {
        Triangles.mirrorLower(rows(matrix));
    }

    @Override
    public final float[] diagonal(DeviceMatrix matrix) {
        FloatRows from = rows(matrix);
        float[] diagonal = new float[from.rows()];
        for (int i = 0; i < diagonal.length; i++) {
            from.read(i, i, 1, diagonal, i);
        }
        return diagonal;
    }

    @Override
    public final DeviceMatrix hessian(DeviceMatrix sum, long tokens, int[] order, float[] diagonal) {
        FloatRows from = rows(sum);
        int n = order.length;
        FloatRows result = allocate(n, n);
        float[] line = new float[n];
        float[] ordered = new float[n];
        for (int i = 0; i < n; i++) {
            from.read(order[i], 0, n, line, 0);
            for (int j = 0; j < n; j++) {
                ordered[j] = line[order[j]] / tokens;
            }
            ordered[i] = diagonal[i];
            result.write(i, 0, n, ordered, 0);
        }
        return result;
    }

    @Override
    public final void search(
            DeviceMatrix weights,
            @Nullable DeviceMatrix importance,
            GridSearch search,
            int from,
            int length,
            int[][] groups,
            Grids grids) {
        GridSearchLoops loops = new GridSearchLoops(search);
        int members = groups.length;
        float[] important = new float[weights.cols()];
        for (int m = 0; m < members; m++) {
            FloatRows w = RowsOf.member(rows(weights), m, members);
            Grids own = member(grids, m, members);
            if (search.measure() == Measure.NONE) {
                span(w, loops, from, length, groups[m], own);
            } else {
                if (importance != null) {
                    rows(importance).read(m, 0, important.length, important, 0);
                }
                choose(w, loops, important, from, length, groups[m], own);
            }
        }
    }

    private void choose(
            FloatRows w, GridSearchLoops loops, float[] important, int from, int length, int[] groups, Grids grids) {
        float[] scales = new float[w.rows()];
        float[] zeros = new float[w.rows()];
        for (int k = 0; k < groups.length; k++) {
            int first = from + k * length;
            loops.choose(w, w.rows(), first, Math.min(length, w.cols() - first), important, scales, zeros);
            ((FloatRows) grids.scales()).writeColumn(groups[k], 0, scales.length, scales);
            ((FloatRows) grids.zeros()).writeColumn(groups[k], 0, zeros.length, zeros);
        }
    }

    /** By rows, since nothing has to be laid out for it. */
    private void span(FloatRows w, GridSearchLoops loops, int from, int length, int[] groups, Grids grids) {
        int width = Math.min(w.cols() - from, groups.length * length);
        float[] line = new float[width];
        float[] scales = new float[grids.groups()];
        float[] zeros = new float[grids.groups()];
        FloatRows allScales = (FloatRows) grids.scales();
        FloatRows allZeros = (FloatRows) grids.zeros();
        for (int row = 0; row < w.rows(); row++) {
            w.read(row, from, width, line, 0);
            allScales.read(row, 0, scales.length, scales, 0);
            allZeros.read(row, 0, zeros.length, zeros, 0);
            for (int k = 0; k < groups.length; k++) {
                loops.span(line, k * length, Math.min(width, (k + 1) * length), scales, zeros, groups[k]);
            }
            allScales.write(row, 0, scales.length, scales, 0);
            allZeros.write(row, 0, zeros.length, zeros, 0);
        }
    }

    @Override
    public final DeviceMatrix search(
            DeviceMatrix weights, @Nullable DeviceMatrix importance, BlockSearch search, Grids grids) {
        FloatRows w = rows(weights);
        int n = w.cols();
        float[] important = importance == null ? null : row(importance);
        BlockSearchLoops loops = new BlockSearchLoops(search);
        HeapCodes codes = HeapCodes.zeros(w.rows(), n);
        Multiples multiples = grids.multiples();
        float[] line = new float[n];
        float[] scales = new float[grids.groups()];
        float[] zeros = new float[grids.groups()];
        float[] units = new float[n / search.size()];
        float[] minima = new float[n / search.size()];
        byte[] nearest = new byte[n];
        for (int row = 0; row < w.rows(); row++) {
            w.read(row, 0, n, line, 0);
            loops.choose(line, n, important, scales, zeros, units, minima, nearest);
            System.arraycopy(nearest, 0, codes.values(), codes.at(row, 0), n);
            rows(grids.scales()).write(row, 0, scales.length, scales, 0);
            rows(grids.zeros()).write(row, 0, zeros.length, zeros, 0);
            if (multiples != null) {
                rows(multiples.units()).write(row, 0, units.length, units, 0);
                if (multiples.minima() != null) {
                    rows(multiples.minima()).write(row, 0, minima.length, minima, 0);
                }
            }
        }
        return codes;
    }

    private float[] row(DeviceMatrix matrix) {
        float[] row = new float[matrix.cols()];
        rows(matrix).read(0, 0, row.length, row, 0);
        return row;
    }

    @Override
    public final DeviceMatrix relax(
            DeviceMatrix original, DeviceMatrix working, DeviceMatrix factor, int from, int to) {
        FloatRows relaxed = allocate(working.rows(), to - from);
        int members = members(factor);
        for (int m = 0; m < members; m++) {
            new Relaxation(
                            RowsOf.member(rows(original), m, members),
                            RowsOf.member(rows(working), m, members),
                            RowsOf.member(rows(factor), m, members),
                            from,
                            to)
                    .run(RowsOf.member(relaxed, m, members));
        }
        return relaxed;
    }

    @Override
    public final void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            Grids grids,
            int[][] groupOfColumn,
            DeviceMatrix codes) {
        int members = members(factor);
        try (FloatRows error = allocate(working.rows(), to - from)) { // original - quantized
            for (int m = 0; m < members; m++) {
                new Sweep(
                                RowsOf.member(rows(original), m, members),
                                RowsOf.member(rows(working), m, members),
                                RowsOf.member(rows(factor), m, members),
                                from,
                                to,
                                RowsOf.member(error, m, members),
                                member(grids, m, members),
                                groupOfColumn[m],
                                HeapCodes.own(codes).member(m, members))
                        .run();
            }
            if (to < working.cols()) {
                propagate(error, factor, from, to, working);
            }
        }
    }

    /** working[:, to:] += error * R[from:to, to:] / diag(R)[to:], the part of the sweep's update that lies behind the block. */
    private void propagate(FloatRows error, DeviceMatrix factor, int from, int to, DeviceMatrix working) {
        int members = members(factor);
        try (FloatRows update = allocate(to - from, working.cols() - to)) {
            for (int m = 0; m < members; m++) {
                int row = m * (working.rows() / members);
                Triangles.updates(RowsOf.member(rows(factor), m, members), from, to, update);
                addProduct(error, row, error.rows() / members, update, 0, rows(working), to);
            }
        }
    }

    @Override
    public final DeviceMatrix descend(
            DeviceMatrix gradient,
            DeviceMatrix hessian,
            int from,
            int to,
            Grids grids,
            int group,
            DeviceMatrix codes,
            @Nullable StoredScale stored) {
        FloatRows grown = allocate(gradient.rows(), to - from);
        int members = members(hessian);
        for (int m = 0; m < members; m++) {
            new Descent(
                            RowsOf.member(rows(gradient), m, members),
                            RowsOf.member(rows(hessian), m, members),
                            from,
                            to,
                            member(grids, m, members),
                            group,
                            HeapCodes.own(codes).member(m, members),
                            stored)
                    .run(RowsOf.member(grown, m, members));
        }
        return grown;
    }

    @Override
    public final DeviceMatrix round(DeviceMatrix weights, Grids grids, int[] groupOfColumn) {
        HeapCodes codes = HeapCodes.zeros(weights.rows(), weights.cols());
        new Rounding(rows(weights), owned(grids), groupOfColumn).round(codes);
        return codes;
    }

    @Override
    public final DeviceMatrix error(DeviceMatrix weights, DeviceMatrix codes, Grids grids, int[] groupOfColumn) {
        FloatRows error = allocate(weights.rows(), weights.cols());
        new Rounding(rows(weights), owned(grids), groupOfColumn).error(HeapCodes.own(codes), error);
        return error;
    }

    @Override
    public final void addProduct(int members, DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum) {
        for (int m = 0; m < members; m++) {
            int row = m * (a.rows() / members);
            addProduct(rows(a), row, a.rows() / members, rows(b), m * (b.rows() / members) + from, rows(sum), 0);
        }
    }

    /**
     * sum[row:row+rows, col:col+b.cols()] += a[row:row+rows, :] * b[first:first+a.cols(), :].
     *
     * @param a as many rows as {@code sum}
     */
    abstract void addProduct(FloatRows a, int row, int rows, FloatRows b, int first, FloatRows sum, int col);

    @Override
    public final double[] loss(DeviceMatrix error, DeviceMatrix product, double... damping) {
        int members = damping.length;
        double[] losses = new double[members];
        for (int m = 0; m < members; m++) {
            losses[m] =
                    loss(RowsOf.member(rows(error), m, members), RowsOf.member(rows(product), m, members), damping[m]);
        }
        return losses;
    }

    private static double loss(FloatRows error, FloatRows product, double damping) {
        double sum = 0;
        float[] e = new float[error.cols()];
        float[] eh = new float[error.cols()];
        for (int row = 0; row < error.rows(); row++) {
            error.read(row, 0, e.length, e, 0);
            product.read(row, 0, eh.length, eh, 0);
            for (int i = 0; i < e.length; i++) {
                double value = e[i];
                sum += value * eh[i] - damping * value * value;
            }
        }
        return sum;
    }

    private Grids owned(Grids grids) {
        return member(grids, 0, 1);
    }

    /** The grids of a member of a stack, closed with it. */
    private Grids member(Grids grids, int member, int members) {
        Multiples multiples = grids.multiples();
        return new Grids(
                grids.values(),
                RowsOf.member(rows(grids.scales()), member, members),
                RowsOf.member(rows(grids.zeros()), member, members),
                multiples == null
                        ? null
                        : new Multiples(
                                RowsOf.member(rows(multiples.units()), member, members),
                                null, // of no interest to whoever asks
                                multiples.groups(),
                                multiples.lowest(),
                                multiples.highest()));
    }
}
