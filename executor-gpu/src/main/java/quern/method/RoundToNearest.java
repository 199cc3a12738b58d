package quern.method;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/**
 * Every weight to the nearest code, each by itself. Needs no calibration; where a rule for the scales asks for the
 * importance of inputs, all weigh the same.
 */
public final class RoundToNearest implements Method {
    @Override
    public String name() {
        return "rtn";
    }

    @Override
    public boolean needsHessian() {
        return false;
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        return new Solver() {
            @Override
            public Outcome quantize(String linear, Matrix weight, Scheme scheme) {
                requireOnGrid(linear, weight, scheme);
                return outcome(weight, scheme, recipe.scales(), largest, List.of());
            }

            @Override
            public void close() {}
        };
    }

    static Outcome outcome(Matrix weight, Scheme scheme, ScaleRule rule, float largest, List<String> notes) {
        float divisor = ScaleSearch.divisor(scheme, weight, largest);
        QuantizedLinear chosen = quantize(weight, scheme, rule, divisor);
        double plain = rule == ScaleRule.MAX
                ? squaredError(weight, chosen)
                : squaredError(weight, quantize(weight, scheme, ScaleRule.MAX, divisor));
        return new Outcome(chosen, new Losses(squaredError(weight, chosen), plain, squares(weight)), notes);
    }

    static double squares(Matrix weight) {
        double sum = 0;
        for (float w : weight.values()) {
            sum += (double) w * w;
        }
        return sum;
    }

    static QuantizedLinear quantize(Matrix weight, Scheme scheme, ScaleRule rule, float divisor) {
        int inputs = weight.cols();
        int length = scheme.groupLength(inputs);
        Scales scales = Scales.of(weight.rows(), scheme.groups(inputs));
        ScaleSearch search = new ScaleSearch(scheme, rule, divisor);
        float[] importance = new float[inputs];
        Arrays.fill(importance, 1);
        for (int g = 0; g < scales.groups(); g++) {
            int from = g * length;
            search.choose(weight.values(), inputs, from, Math.min(length, inputs - from), importance, scales, g);
        }
        scales.share(scheme.rowsOfScale());
        int[] groupOfColumn = QuantizedLinear.runs(inputs, length);
        return new QuantizedLinear(
                scheme,
                weight.rows(),
                inputs,
                codes(weight, scheme, scales, groupOfColumn),
                scales.scales(),
                scales.zeros(),
                groupOfColumn,
                divisor);
    }

    /** The nearest codes on given grids. */
    static byte[] codes(Matrix weight, Scheme scheme, Scales scales, int[] groupOfColumn) {
        if (scheme.grid() instanceof LevelGrid levels) {
            return codes(weight, levels, scales, groupOfColumn);
        }
        byte[] codes = new byte[weight.rows() * weight.cols()];
        for (int row = 0, at = 0; row < weight.rows(); row++) {
            for (int col = 0; col < weight.cols(); col++, at++) {
                int g = row * scales.groups() + groupOfColumn[col];
                int code = (int) Math.rint(weight.values()[at] / scales.scales()[g]) + (int) scales.zeros()[g];
                codes[at] = (byte) Math.max(scheme.lowestCode(), Math.min(scheme.highestCode(), code));
            }
        }
        return codes;
    }

    private static byte[] codes(Matrix weight, LevelGrid levels, Scales scales, int[] groupOfColumn) {
        byte[] codes = new byte[weight.rows() * weight.cols()];
        float[] reciprocals = new float[scales.scales().length];
        for (int g = 0; g < reciprocals.length; g++) {
            reciprocals[g] = 1 / scales.scales()[g];
        }
        for (int row = 0, at = 0; row < weight.rows(); row++) {
            for (int col = 0; col < weight.cols(); col++, at++) {
                int g = row * scales.groups() + groupOfColumn[col];
                float w = weight.values()[at];
                codes[at] = (byte) levels.place(levels.byReciprocal() ? w * reciprocals[g] : w / scales.scales()[g]);
            }
        }
        return codes;
    }

    static double squaredError(Matrix weight, QuantizedLinear quantized) {
        float[] values = quantized.dequantize().values();
        double sum = 0;
        for (int i = 0; i < values.length; i++) {
            double e = weight.values()[i] - values[i];
            sum += e * e;
        }
        return sum;
    }

    /** Refuses a weight that no grid of the scheme can hold: NaN, Inf, or further out than the largest scale reaches. */
    static void requireOnGrid(String linear, Matrix weight, Scheme scheme) {
        for (float w : weight.values()) {
            if (!Float.isFinite(w)) {
                throw new QuernException(
                        "Cannot quantize " + linear + ": its weight holds " + w + " (skip it, or mend the checkpoint)");
            }
            if (Math.abs(w) > scheme.largestWeight()) {
                throw new QuernException(
                        ("Cannot quantize %s: its weight holds %.3g, and scales of type %s reach %.3g at"
                                        + " %d bits (skip it, or mend the checkpoint)")
                                .formatted(linear, w, scheme.scaleType(), scheme.largestWeight(), scheme.bits()));
            }
        }
    }
}
