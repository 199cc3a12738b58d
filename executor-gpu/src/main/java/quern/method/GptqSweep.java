package quern.method;

import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.SolveKernels.Grid;
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

    /** Rows are independent: so many are solved at a time, which bounds the memory of a large weight. */
    private static final int PANEL = 1024;

    /** @param dead n: columns that no token reaches */
    Assembly quantize(Matrix weight, boolean[] dead) {
        Assembly assembly = new Assembly(search.scheme(), columns, weight.rows(), search.divisor());
        for (int row = 0; row < weight.rows(); row += PANEL) {
            int rows = Math.min(PANEL, weight.rows() - row);
            Panel panel = Panel.of(search.scheme(), columns, weight, row, rows, dead);
            sweep(panel);
            if (search.refines()) {
                new Refinement(hessian, search, device).apply(panel);
            }
            assembly.add(row, panel, hessian, device);
        }
        return assembly;
    }

    /** Chooses codes and scales of some rows, by equations (1) and (2). */
    private void sweep(Panel panel) {
        int n = importance.length;
        int rows = panel.rows();
        if (live == null) {
            search.choose(panel, importance);
        }
        byte[] codes = new byte[rows * n];
        Matrix weights = panel.sweepOrder(); // rows x n
        try (DeviceMatrix original = device.upload(weights, DType.F32);
                DeviceMatrix working = device.upload(weights, DType.F32)) { // w~ of (2), rows x n
            for (int from = 0, to; from < n; from = to) {
                to = Math.min(n, from + BLOCK);
                if (live != null) {
                    if (from % live.span() == 0) {
                        live.choose(search, weights, device.download(working), from, panel.scales());
                    }
                    to = Math.min(to, (from / live.span() + 1) * live.span());
                }
                try (DeviceMatrix error = device.zeros(rows, to - from, DType.F32)) { // W - Q, rows x (to - from)
                    Grid grid = panel.grid(columns.groupsOfSweep(from, to));
                    device.solve().sweep(original, working, hessian.factor(), from, to, error, grid, codes);
                    device.solve().propagate(error, hessian.factor(), from, to, working);
                }
            }
        }
        panel.takeSwept(codes);
    }
}
