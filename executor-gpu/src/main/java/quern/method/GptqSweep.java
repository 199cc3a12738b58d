package quern.method;

import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.GridSearch;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * GPTQ for one linear. With H the Hessian of its inputs and R its reversed Cholesky factor, H = R RT with R upper
 * triangular, the loss of a row w quantized to q is
 *
 * <pre>
 * (w - q) H (w - q)T = |(w - q) R|^2 = sum over i of ((w~_i - q_i) R_ii)^2        (1)
 * w~_i = w_i + sum over r < i of (w_r - q_r) R_ri / R_ii                          (2)
 * </pre>
 *
 * where w~_i is the best value of column i once the columns before it are fixed and those behind it are free. GPTQ takes the
 * columns in turn and gives each the code nearest to w~_i. These are the codes of the paper's algorithm: its Cholesky
 * factor of inv(H) is inv(R), so its division by U_ii and its update by U_ij are (2) written with inv(R). Working on R saves
 * the inversion. Blocks of 128 columns are swept at a time; what lies behind them gets their update as one product.
 *
 * @param columns their order
 * @param hessian in that order
 * @param importance n, order of groups: what a squared error weighs in the search of scales
 * @param live where scales are not chosen before the sweep
 * @param search chooses scales
 */
record GptqSweep(
        Columns columns,
        DampedHessian hessian,
        float[] importance,
        @Nullable LiveScales live,
        ScaleSearch search,
        Device device) {
    static final int BLOCK = 128;

    /** @param dead n: columns that no token reaches */
    Assembly quantize(Matrix weight, boolean[] dead) {
        Assembly assembly = new Assembly(search, columns, weight.rows());
        for (int row = 0, rows; row < weight.rows(); row += rows) {
            rows = Math.min(device.solve().rowsAtATime(), weight.rows() - row);
            try (Panel panel = Panel.of(search.scheme(), columns, weight, row, rows, dead, importance, device);
                    DeviceMatrix codes = sweep(panel)) { // rows x n, in the order of groups
                if (search.refines()) {
                    new Refinement(columns, hessian, search, device).apply(panel, codes);
                }
                assembly.add(row, panel, codes, hessian, device);
            }
        }
        return assembly;
    }

    /** Chooses scales, and codes by equations (1) and (2). */
    private DeviceMatrix sweep(Panel panel) {
        int n = importance.length;
        int rows = panel.weights().rows();
        GridSearch grids = search.search();
        if (live == null && search.scheme().blocks() == null) {
            try (DeviceMatrix ofColumns = device.upload(new Matrix(1, n, importance), DType.F32)) {
                int[] groups = IntStream.range(0, panel.grids().groups()).toArray();
                device.solve().search(panel.weights(), ofColumns, grids, 0, columns.length(), groups, panel.grids());
            }
        }
        try (DeviceMatrix original = device.solve().columns(panel.weights(), columns.sweep()); // rows x n
                DeviceMatrix working = device.solve().columns(panel.weights(), columns.sweep()); // w~ of (2), rows x n
                DeviceMatrix codes = device.zeros(rows, n, DType.U8)) {
            for (int from = 0, to; from < n; from = to) {
                to = Math.min(n, from + BLOCK);
                if (live != null) {
                    if (from % live.span() == 0) {
                        live.choose(grids, original, working, from, panel.grids());
                    }
                    to = Math.min(to, (from / live.span() + 1) * live.span());
                }
                int[] groups = columns.groupsOfSweep(from, to);
                try (DeviceMatrix error = device.zeros(rows, to - from, DType.F32)) { // W - Q, rows x (to - from)
                    device.solve()
                            .sweep(original, working, hessian.factor(), from, to, error, panel.grids(), groups, codes);
                    device.solve().propagate(error, hessian.factor(), from, to, working);
                }
            }
            return device.solve().columns(codes, Columns.inverse(columns.sweep()));
        }
    }
}
