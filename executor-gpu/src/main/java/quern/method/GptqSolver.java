package quern.method;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.SolveKernels.Grid;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * GPTQ for the linears of one site. With H the Hessian of their inputs and R its reversed Cholesky factor, H = R RT with R
 * upper triangular, the loss of a row w quantized to q is
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
 */
final class GptqSolver implements Method.Solver {
    private static final int BLOCK = 128;

    /** Rows are independent: so many are solved at a time, which bounds the memory of a large weight. */
    private static final int PANEL = 1024;

    private final Recipe recipe;
    private final Scheme scheme;
    private final Device device;
    private final float largest; // of all weights of the site, or 0
    private final int n;
    private final @Nullable String unusable; // why no linear of the site can be quantized
    private final boolean[] dead; // n: columns that no token reaches
    private final Columns columns;
    private final float[] importance; // n, order of groups: what a squared error weighs in the search of scales
    private final @Nullable DampedHessian damped; // none: round to nearest
    private final @Nullable LiveScales live; // where scales are not chosen before the sweep
    private final List<String> notes = new ArrayList<>();

    GptqSolver(Recipe recipe, Scheme scheme, Hessian hessian, Device device, float largest) {
        this.largest = largest;
        this.recipe = recipe;
        this.scheme = scheme;
        this.device = device;
        n = hessian.sum().rows();
        dead = new boolean[n];
        importance = new float[n];
        Arrays.fill(importance, 1);
        unusable = nonFinite(hessian.sum());
        float[] diagonal = new float[n];
        for (int i = 0; i < n; i++) {
            diagonal[i] = hessian.sum().at(i, i) / Math.max(1, hessian.tokens());
            dead[i] = !(diagonal[i] > 0);
        }
        columns = Columns.of(scheme, diagonal);
        damped = unusable == null && anyAlive() ? factor(hessian, diagonal) : null;
        live = damped != null && columns.live() ? new LiveScales(columns, importance, damped, device) : null;
    }

    private boolean anyAlive() {
        for (boolean d : dead) {
            if (!d) {
                return true;
            }
        }
        notes.add("no calibration token reached it; rounded to nearest");
        return false;
    }

    private @Nullable DampedHessian factor(Hessian hessian, float[] diagonal) {
        DampedHessian result = DampedHessian.factor(hessian, diagonal, dead, columns, recipe.percdamp(), device);
        if (result == null) {
            notes.add("its Hessian could not be factored with any damping; rounded to nearest");
            return null;
        }
        notes.addAll(result.notes());
        if (recipe.scales() == ScaleRule.DIAGONAL) {
            for (int i = 0; i < n; i++) {
                importance[i] = (float) (diagonal[columns.natural()[i]] + result.lambda());
            }
        } else if (recipe.scales() == ScaleRule.SALIENCY) {
            float[] inverse = device.solve().inverseDiagonal(result.factor()); // of inv(H), in the order of the sweep
            for (int i = 0; i < n; i++) {
                importance[columns.sweep()[i]] = 1 / inverse[i];
            }
        }
        return result;
    }

    @Override
    public Method.Outcome quantize(String linear, Matrix weight) {
        RoundToNearest.requireOnGrid(linear, weight, scheme);
        if (unusable != null) {
            throw new QuernException("Cannot quantize " + linear + ": the Hessian of its inputs holds " + unusable
                    + " (the model overflows on the calibration text; try other text, or method rtn)");
        }
        if (weight.cols() != n) {
            throw new IllegalArgumentException(linear + " has " + weight.cols() + " inputs, its Hessian " + n);
        }
        if (damped == null) {
            return RoundToNearest.outcome(weight, scheme, recipe.scales(), largest, List.copyOf(notes));
        }
        float divisor = ScaleSearch.divisor(scheme, weight, largest);
        Assembly assembly = new Assembly(scheme, columns, weight.rows(), divisor);
        for (int row = 0; row < weight.rows(); row += PANEL) {
            int rows = Math.min(PANEL, weight.rows() - row);
            Panel panel = Panel.of(scheme, columns, weight, row, rows, dead);
            sweep(damped, panel, divisor);
            if (searches()) {
                new Refinement(damped, new ScaleSearch(scheme, recipe.scales(), divisor), device).apply(panel);
            }
            assembly.add(row, panel, damped, device);
        }
        return new Method.Outcome(assembly.quantized(), assembly.losses(), List.copyOf(notes));
    }

    /** The other rules are the classic tool's, and so is then the whole solve. */
    private boolean searches() {
        return recipe.scales() == ScaleRule.DIAGONAL || recipe.scales() == ScaleRule.SALIENCY;
    }

    /** Chooses codes and scales of some rows, by equations (1) and (2). */
    private void sweep(DampedHessian h, Panel panel, float divisor) {
        int rows = panel.rows();
        ScaleSearch search = new ScaleSearch(scheme, recipe.scales(), divisor);
        for (int g = 0; live == null && g < panel.scales().groups(); g++) {
            int from = g * columns.length();
            int length = Math.min(columns.length(), n - from);
            search.choose(panel.weights().values(), n, from, length, importance, panel.scales(), g);
        }
        byte[] codes = new byte[rows * n];
        Matrix weights = panel.sweepOrder(); // rows x n
        try (DeviceMatrix original = device.upload(weights, DType.F32);
                DeviceMatrix working = device.upload(weights, DType.F32)) { // w~ of (2), rows x n
            for (int from = 0, to; from < n; from = to) {
                to = Math.min(n, from + BLOCK);
                if (live != null) {
                    int end = Math.min(n, (from / columns.length() + 1) * columns.length());
                    if (from % columns.length() == 0) {
                        live.choose(search, weights, device.download(working), from, panel.scales());
                    }
                    to = Math.min(to, end);
                }
                try (DeviceMatrix error = device.zeros(rows, to - from, DType.F32)) { // W - Q, rows x (to - from)
                    Grid grid = panel.grid(columns.groupsOfSweep(from, to));
                    device.solve().sweep(original, working, h.factor(), from, to, error, grid, codes);
                    device.solve().propagate(error, h.factor(), from, to, working);
                }
            }
        }
        panel.takeSwept(codes);
    }

    private static @Nullable String nonFinite(Matrix hessian) {
        for (float value : hessian.values()) {
            if (!Float.isFinite(value)) {
                return Float.toString(value);
            }
        }
        return null;
    }

    @Override
    public void close() {
        if (damped != null) {
            damped.close();
        }
    }
}
