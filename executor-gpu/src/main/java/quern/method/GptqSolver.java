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
    private record Order(ColumnOrder order, int length) {
        static Order of(Scheme scheme, int inputs) {
            return new Order(scheme.order(), scheme.order() == ColumnOrder.STATIC ? 0 : scheme.groupLength(inputs));
        }
    }

    /**
     * The Hessian in one order of columns.
     *
     * @param damped none: round to nearest
     * @param importance n, order of groups: what a squared error weighs in the search of scales
     * @param live where scales are not chosen before the sweep
     */
    private record Factored(
            @Nullable DampedHessian damped,
            float[] importance,
            @Nullable LiveScales live,
            List<String> notes) {}

    private Factored factor(Columns columns) {
        List<String> notes = new ArrayList<>();
        float[] importance = new float[n];
        Arrays.fill(importance, 1);
        DampedHessian damped = damped(columns, notes);
        if (damped != null) {
            if (recipe.scales() == ScaleRule.DIAGONAL) {
                for (int i = 0; i < n; i++) {
                    importance[i] = (float) (diagonal[columns.natural()[i]] + damped.lambda());
                }
            } else if (recipe.scales() == ScaleRule.SALIENCY) {
                float[] inverse =
                        device.solve().inverseDiagonal(damped.factor()); // of inv(H), in the order of the sweep
                for (int i = 0; i < n; i++) {
                    importance[columns.sweep()[i]] = 1 / inverse[i];
                }
            }
        }
        LiveScales live = null;
        if (damped != null && columns.live()) {
            int span = classic() ? GptqSweep.BLOCK : columns.length();
            live = new LiveScales(columns, span, importance, damped.factor(), device);
        }
        return new Factored(damped, importance, live, List.copyOf(notes));
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
        RoundToNearest.requireOnGrid(linear, weight, scheme);
        if (unusable != null) {
            throw new QuernException("Cannot quantize " + linear + ": the Hessian of its inputs holds " + unusable
                    + " (the model overflows on the calibration text; try other text, or method rtn)");
        }
        if (weight.cols() != n) {
            throw new IllegalArgumentException(linear + " has " + weight.cols() + " inputs, its Hessian " + n);
        }
        Columns columns = Columns.of(scheme, diagonal);
        Factored h = factored.computeIfAbsent(Order.of(scheme, n), order -> factor(columns));
        if (h.damped() == null) {
            return RoundToNearest.outcome(weight, scheme, recipe.scales(), largest, h.notes());
        }
        ScaleSearch search = new ScaleSearch(scheme, recipe.scales(), ScaleSearch.divisor(scheme, weight, largest));
        GptqSweep sweep = new GptqSweep(columns, h.damped(), h.importance(), h.live(), search, device);
        Assembly quantized = sweep.quantize(weight, dead);
        return new Method.Outcome(quantized.quantized(), quantized.losses(), h.notes());
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
        for (Factored h : factored.values()) {
            if (h.damped() != null) {
                h.damped().close();
            }
        }
    }
}
