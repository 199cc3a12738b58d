package quern.method;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/**
 * GPTQ for the linears of one site: the Hessian of their inputs is factored once for each order of columns, whatever the
 * widths of the codes. The algorithm itself is {@link GptqSweep}.
 */
final class GptqSolver implements Method.Solver {
    private final Recipe recipe;
    private final Hessian hessian;
    private final Device device;
    private final float largest; // of all weights of the site, or 0
    private final int n;
    private final @Nullable String unusable; // why no linear of the site can be quantized
    private final float[] diagonal; // n, of sum / tokens
    private final boolean[] dead; // n: columns that no token reaches
    private final Map<Order, Factored> factored = new HashMap<>();
    private @Nullable LayerTarget target;

    GptqSolver(Recipe recipe, Hessian hessian, Device device, float largest) {
        this.recipe = recipe;
        this.hessian = hessian;
        this.device = device;
        this.largest = largest;
        n = hessian.inputs();
        diagonal = hessian.meanSquares();
        dead = new boolean[n];
        unusable = nonFinite(diagonal);
        for (int i = 0; i < n; i++) {
            dead[i] = !(diagonal[i] > 0);
        }
    }

    /** What the order of columns depends on. {@link ColumnOrder#STATIC} is the same for all lengths of groups, which are 0 then. */
    record Order(ColumnOrder order, int length) {
        static Order of(Scheme scheme, int inputs) {
            return new Order(scheme.order(), scheme.order() == ColumnOrder.STATIC ? 0 : scheme.groupLength(inputs));
        }
    }

    /**
     * The Hessian in one order of columns.
     *
     * @param inputs none: round to nearest
     */
    record Factored(@Nullable Inputs inputs, List<String> notes) {}

    /** In the order of a scheme; closed by whoever asks. */
    Factored factor(Scheme scheme) {
        Columns columns = Columns.of(scheme, diagonal);
        List<String> notes = new ArrayList<>();
        DampedHessian damped = damped(columns, notes);
        return new Factored(
                damped == null ? null : Inputs.of(columns, dead, importance(columns, damped), damped),
                List.copyOf(notes));
    }

    /** n, order of groups: what a squared error weighs in the search of scales. */
    private float[] importance(Columns columns, DampedHessian damped) {
        float[] importance = new float[n];
        Arrays.fill(importance, 1);
        if (recipe.scales() == ScaleRule.DIAGONAL) {
            double lambda = recipe.percdamp() * DampedHessian.mean(diagonal, dead);
            for (int i = 0; i < n; i++) {
                importance[i] = (float) (diagonal[columns.natural()[i]] + lambda);
            }
        } else if (recipe.scales() == ScaleRule.SALIENCY) {
            float[] inverse = device.solve().inverseDiagonal(damped.factor()); // of inv(H), in the order of the sweep
            for (int i = 0; i < n; i++) {
                importance[columns.sweep()[i]] = 1 / inverse[i];
            }
        }
        return importance;
    }

    /**
     * The sweep of linears of a scheme.
     *
     * @param factored their inputs; an order may be that of schemes with groups of several lengths
     * @param divisor of their scales
     */
    GptqSweep sweep(Inputs factored, Scheme scheme, float divisor) {
        Inputs inputs = factored.inGroups(scheme.groupLength(n));
        int span = classic() ? GptqSweep.BLOCK : inputs.length();
        boolean live = inputs.columns().get(0).live() && !scheme.sharesRows();
        return new GptqSweep(
                inputs,
                live ? new LiveScales(inputs, span, device) : null,
                new ScaleSearch(scheme, recipe.scales(), divisor),
                device);
    }

    /** Whether scales are chosen as the classic tool does. */
    private boolean classic() {
        return recipe.scales() == ScaleRule.MAX || recipe.scales() == ScaleRule.MSE;
    }

    private @Nullable DampedHessian damped(Columns columns, List<String> notes) {
        if (!anyAlive()) {
            notes.add("no calibration token reached it; rounded to nearest");
            return null;
        }
        DampedHessian result = DampedHessian.factor(hessian, diagonal, dead, columns, recipe.percdamp(), device);
        if (result == null) {
            notes.add("its Hessian could not be factored with any damping; rounded to nearest");
        } else {
            notes.addAll(result.notes());
        }
        return result;
    }

    private boolean anyAlive() {
        for (boolean d : dead) {
            if (!d) {
                return true;
            }
        }
        return false;
    }

    @Override
    public Method.Outcome quantize(String linear, Matrix weight, Scheme scheme) {
        check(linear, weight, scheme);
        Factored h = factored.computeIfAbsent(Order.of(scheme, n), order -> factor(scheme));
        if (h.inputs() == null) {
            return rounded(weight, scheme, h.notes());
        }
        if (target == null) {
            target = LayerTarget.of(hessian, h.inputs(), device);
        }
        Matrix wanted = target == null ? weight : target.of(weight);
        List<String> notes = new ArrayList<>(h.notes());
        if (target != null) {
            notes.addAll(target.notes());
        }
        return sweep(h.inputs(), scheme, ScaleSearch.divisor(scheme, wanted, largest))
                .quantize(List.of(wanted), scheme.sharesRows() ? shared(weight, scheme) : null)
                .outcome(0, List.copyOf(notes));
    }

    /** Which linears that programs join have in common, so they are the weights' own, whatever is aimed at. */
    private Scales shared(Matrix weight, Scheme scheme) {
        return RoundToNearest.shared(weight, scheme, Math.max(largest, weight.largest()));
    }

    /** That a linear can be quantized at all. */
    void check(String linear, Matrix weight, Scheme scheme) {
        RoundToNearest.requireOnGrid(linear, weight, scheme);
        if (unusable != null) {
            throw new QuernException("Cannot quantize " + linear + ": the Hessian of its inputs holds " + unusable
                    + " (the model overflows on the calibration text; try other text, or method rtn)");
        }
        if (weight.cols() != n) {
            throw new IllegalArgumentException(linear + " has " + weight.cols() + " inputs, its Hessian " + n);
        }
    }

    /** Where there is no Hessian to sweep with. */
    Method.Outcome rounded(Matrix weight, Scheme scheme, List<String> notes) {
        return RoundToNearest.outcome(weight, scheme, recipe.scales(), largest, notes);
    }

    /** The diagonal tells of the whole: |H[i,j]| is no larger than the larger of H[i,i] and H[j,j], and what is no number is one there too. */
    private static @Nullable String nonFinite(float[] diagonal) {
        for (float value : diagonal) {
            if (!Float.isFinite(value)) {
                return Float.toString(value);
            }
        }
        return null;
    }

    @Override
    public void close() {
        if (target != null) {
            target.close();
        }
        for (Factored h : factored.values()) {
            if (h.inputs() != null) {
                h.inputs().close();
            }
        }
    }
}
