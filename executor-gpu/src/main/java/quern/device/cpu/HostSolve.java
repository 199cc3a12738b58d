package quern.device.cpu;

import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.GridSearchLoops;
import quern.device.Grids;
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

    /** A new F32 matrix of zeros. */
    abstract FloatRows zeros(int rows, int cols);

    @Override
    public final int rowsAtATime() {
        return ROWS;
    }

    @Override
    public final DeviceMatrix columns(DeviceMatrix matrix, int[] order) {
        if (matrix.dtype() == DType.U8) {
            return HeapCodes.own(matrix).columns(order);
        }
        FloatRows from = rows(matrix);
        FloatRows result = allocate(from.rows(), order.length);
        float[] line = new float[from.cols()];
        float[] ordered = new float[order.length];
        for (int row = 0; row < from.rows(); row++) {
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
            int[] groups,
            Grids grids) {
        FloatRows w = rows(weights);
        GridSearchLoops loops = new GridSearchLoops(search);
        if (search.measure() == Measure.NONE) {
            span(w, loops, from, length, groups, owned(grids));
            return;
        }
        float[] important = new float[w.cols()];
        if (importance != null) {
            rows(importance).read(0, 0, important.length, important, 0);
        }
        float[] scales = new float[w.rows()];
        float[] zeros = new float[w.rows()];
        for (int k = 0; k < groups.length; k++) {
            int first = from + k * length;
            loops.choose(w, w.rows(), first, Math.min(length, w.cols() - first), important, scales, zeros);
            rows(grids.scales()).writeColumn(groups[k], 0, scales.length, scales);
            rows(grids.zeros()).writeColumn(groups[k], 0, zeros.length, zeros);
        }
    }

    /** By rows, since nothing has to be laid out for it. */
    private void span(FloatRows w, GridSearchLoops loops, int from, int length, int[] groups, Grids grids) {
        int width = Math.min(w.cols() - from, groups.length * length);
        float[] line = new float[width];
        float[] scales = new float[grids.groups()];
        float[] zeros = new float[grids.groups()];
        for (int row = 0; row < w.rows(); row++) {
            w.read(row, from, width, line, 0);
            rows(grids.scales()).read(row, 0, scales.length, scales, 0);
            rows(grids.zeros()).read(row, 0, zeros.length, zeros, 0);
            for (int k = 0; k < groups.length; k++) {
                loops.span(line, k * length, Math.min(width, (k + 1) * length), scales, zeros, groups[k]);
            }
            rows(grids.scales()).write(row, 0, scales.length, scales, 0);
            rows(grids.zeros()).write(row, 0, zeros.length, zeros, 0);
        }
    }

    @Override
    public final DeviceMatrix relax(
            DeviceMatrix original, DeviceMatrix working, DeviceMatrix factor, int from, int to) {
        FloatRows relaxed = allocate(working.rows(), to - from);
        new Relaxation(rows(original), rows(working), rows(factor), from, to).run(relaxed);
        return relaxed;
    }

    @Override
    public final void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            DeviceMatrix error,
            Grids grids,
            int[] groupOfColumn,
            DeviceMatrix codes) {
        new Sweep(
                        rows(original),
                        rows(working),
                        rows(factor),
                        from,
                        to,
                        rows(error),
                        owned(grids),
                        groupOfColumn,
                        HeapCodes.own(codes))
                .run();
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
        new Descent(rows(gradient), rows(hessian), from, to, owned(grids), group, HeapCodes.own(codes), stored)
                .run(grown);
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
    public final double loss(DeviceMatrix error, DeviceMatrix hessian, double damping) {
        FloatRows e = rows(error);
        int n = e.cols();
        double sum = 0;
        try (FloatRows product = zeros(e.rows(), n)) {
            addProduct(error, hessian, 0, n, product);
            float[] line = new float[n];
            float[] eh = new float[n];
            for (int row = 0; row < e.rows(); row++) {
                e.read(row, 0, n, line, 0);
                product.read(row, 0, n, eh, 0);
                for (int i = 0; i < n; i++) {
                    double value = line[i];
                    sum += value * eh[i] - damping * value * value;
                }
            }
        }
        return sum;
    }

    private Grids owned(Grids grids) {
        rows(grids.scales());
        rows(grids.zeros());
        if (grids.multiples() != null) {
            rows(grids.multiples().units());
        }
        return grids;
    }
}
