package quern.method;

import java.util.List;
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
 * the inversion. Blocks of 128 columns are swept at a time; what lies behind them gets their update as one product. A {@link Refinement}
 * goes over them afterwards.
 *
 * <p>Linears of one shape and scheme whose inputs are not the same, as those of experts, may be taken together: k weights that lie one
 * below the other, each with its own H, order of columns and scales. A row sees its own linear's alone, so codes are what they are
 * for one at a time.
 *
 * <p>Where rows share scales these are given, by the largest weight: a sweep takes rows by themselves, and none could choose for others.
 *
 * @param inputs theirs
 * @param live where scales are not chosen before the sweep
 * @param search chooses scales
 */
record GptqSweep(Inputs inputs, @Nullable LiveScales live, ScaleSearch search, Device device) {
    static final int BLOCK = 128;

    /** @param weights k, outputs x n */
    Assembly quantize(List<Matrix> weights) {
        return quantize(weights, null);
    }

    /**
     * @param weights k, outputs x n
     * @param shared the scales of an only one, where rows share them
     */
    Assembly quantize(List<Matrix> weights, @Nullable Scales shared) {
        int outputs = weights.get(0).rows();
        Assembly assembly = new Assembly(search, inputs, outputs);
        for (int row = 0, rows; row < outputs; row += rows) {
            rows = Math.min(device.solve().rowsAtATime(), outputs - row);
            try (Panel panel = Panel.of(search.scheme(), inputs, weights, shared, row, rows, device);
                    DeviceMatrix codes = sweep(panel);
                    DeviceMatrix gradient = gradient(panel, codes)) {
                new Refinement(inputs, search, device).apply(panel, codes, gradient);
                assembly.add(row, panel, codes, gradient, device);
            }
        }
        return assembly;
    }

    /** (W - Q) H, (k * rows) x n: half of the loss's slope, and what the loss is the product of with W - Q. */
    DeviceMatrix gradient(Panel panel, DeviceMatrix codes) {
        int[] groups = inputs.columns().get(0).groups(); // runs of one length
        try (DeviceMatrix error = device.solve().error(panel.weights(), codes, panel.grids(), groups)) {
            return inputs.hessian().product(error, device);
        }
    }

    /** Chooses scales, and codes by equations (1) and (2); (k * rows) x n, in the order of groups. */
    DeviceMatrix sweep(Panel panel) {
        int n = inputs.inputs();
        int rows = panel.weights().rows(); // of all members
        DeviceMatrix factor = inputs.hessian().factor();
        GridSearch grids = search.search();
        if (live == null && search.scheme().blocks() == null && !search.scheme().sharesRows()) {
            try (DeviceMatrix ofColumns = device.upload(inputs.importance(), DType.F32)) {
                int[][] groups = inputs.each(
                        columns -> IntStream.range(0, panel.grids().groups()).toArray());
                device.solve().search(panel.weights(), ofColumns, grids, 0, inputs.length(), groups, panel.grids());
            }
        }
        int[][] sweep = inputs.each(Columns::sweep);
        try (DeviceMatrix original = device.solve().columns(panel.weights(), sweep); // (k * rows) x n
                DeviceMatrix working = device.solve().columns(panel.weights(), sweep); // w~ of (2), (k * rows) x n
                DeviceMatrix codes = device.zeros(rows, n, DType.U8)) {
            for (int from = 0, to; from < n; from = to) {
                if (live != null && live.ofGroups()) {
                    to = live.sweep(grids, original, working, from, panel.grids(), codes);
                    continue;
                }
                to = Math.min(n, from + BLOCK);
                if (live != null) {
                    if (from % live.span() == 0) {
                        live.choose(grids, original, working, from, panel.grids());
                    }
                    to = Math.min(to, (from / live.span() + 1) * live.span());
                }
                int begin = from;
                int end = to;
                int[][] groups = inputs.each(columns -> columns.groupsOfSweep(begin, end));
                device.solve().sweep(original, working, factor, from, to, panel.grids(), groups, codes);
            }
            return device.solve().columns(codes, inputs.each(columns -> Columns.inverse(columns.sweep())));
        }
    }
}
