package quern.method;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.BlockSearchLoops;
import quern.device.Device;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.GridSearchLoops;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * Every weight to the nearest code, each by itself. Needs no calibration: where a rule for the scales asks for the
 * importance of inputs, all weigh the same. Only where a transform has made calibration necessary anyway, an input weighs the
 * mean of its square: AWQ's clipping, which is a search of scales.
 */
public final class RoundToNearest implements Method {
    /** Adding it leaves the nearest whole number in the lowest bits of a float of magnitude below 2^22, half to even. */
    private static final float ROUND = 0x1.8p23f;

    @Override
    public String name() {
        return "rtn";
    }

    @Override
    public boolean needsHessian() {
        return false;
    }

    @Override
    public boolean byRows() {
        return true;
    }

    @Override
    public boolean needsHessian(Recipe recipe) {
        return recipe.transforms() && (recipe.scales() == ScaleRule.DIAGONAL || recipe.scales() == ScaleRule.SALIENCY);
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        if (hessian != null) {
            return new WeightedRounding(recipe.scales(), hessian, device, largest);
        }
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
        if (scheme.isWhole()) {
            QuantizedLinear whole = whole(weight, scheme, Math.max(largest, weight.largest()));
            Errors errors = Errors.of(weight, whole);
            return new Outcome(whole, new Losses(errors.squares(), errors.squares(), errors.norm()), notes);
        }
        float divisor = ScaleSearch.divisor(scheme, weight, largest);
        QuantizedLinear chosen = quantize(weight, scheme, rule, divisor);
        Errors errors = Errors.of(weight, chosen);
        double plain = rule == ScaleRule.MAX
                ? errors.squares()
                : Errors.of(weight, quantize(weight, scheme, ScaleRule.MAX, divisor))
                        .squares();
        return new Outcome(chosen, new Losses(errors.squares(), plain, errors.norm()), notes);
    }

    /**
     * The scales by max of a scheme whose rows share them, for all rows.
     *
     * @param largest magnitude of all that have the scale in common where it is that of a whole weight
     */
    static Scales shared(Matrix weight, Scheme scheme, float largest) {
        if (scheme.isWhole()) {
            Scales scales = Scales.of(weight.rows(), 1);
            float scale = HalfFloats.round(largest / scheme.grid().reach(), scheme.scaleType());
            Arrays.fill(scales.scales(), scale > 0 ? scale : 1);
            Arrays.fill(scales.zeros(), scheme.middle());
            return scales;
        }
        GridSearch search = new ScaleSearch(scheme, ScaleRule.MAX, 1).search();
        Scales scales = spanning(weight, scheme.groupLength(weight.cols()), search);
        scales.share(scheme.rowsOfScale());
        return scales;
    }

    /** With one scale, of the largest magnitude of this weight and of those that share its input. */
    private static QuantizedLinear whole(Matrix weight, Scheme scheme, float largest) {
        Scales scales = shared(weight, scheme, largest);
        int[] groups = new int[weight.cols()];
        return new QuantizedLinear(
                scheme,
                weight.rows(),
                weight.cols(),
                codes(weight, scheme, scales),
                scales.scales(),
                scales.zeros(),
                groups);
    }

    /** A matrix with scales by max, or as is usual for its {@linkplain quern.scheme.Blocks blocks}. */
    public static QuantizedLinear quantize(Matrix weight, Scheme scheme) {
        return quantize(weight, scheme, ScaleRule.MAX, 1);
    }

    static QuantizedLinear quantize(Matrix weight, Scheme scheme, ScaleRule rule, float divisor) {
        return quantize(weight, scheme, rule, divisor, null);
    }

    /** @param important what an error of each input weighs; null where all weigh the same */
    static QuantizedLinear quantize(
            Matrix weight, Scheme scheme, ScaleRule rule, float divisor, float @Nullable [] important) {
        if (scheme.blocks() != null) {
            return inBlocks(weight, scheme, important);
        }
        int inputs = weight.cols();
        int length = scheme.groupLength(inputs);
        GridSearch search = new ScaleSearch(scheme, rule, divisor).search();
        Scales scales = isBetween(scheme)
                ? between(weight, length, search)
                : search.measure() == Measure.NONE
                        ? spanning(weight, length, search)
                        : searched(weight, length, search, important);
        scales.share(scheme.rowsOfScale());
        return new QuantizedLinear(
                scheme,
                weight.rows(),
                inputs,
                codes(weight, scheme, scales),
                scales.scales(),
                scales.zeros(),
                QuantizedLinear.runs(inputs, length),
                divisor);
    }

    private static QuantizedLinear inBlocks(Matrix weight, Scheme scheme, float @Nullable [] important) {
        int n = weight.cols();
        Scales chosen = Scales.of(weight.rows(), scheme, n);
        byte[] codes = new byte[Math.multiplyExact(weight.rows(), n)];
        new BlockSearchLoops(ScaleSearch.blocks(scheme))
                .choose(
                        weight.values(),
                        n,
                        important,
                        chosen.scales(),
                        chosen.zeros(),
                        chosen.units().scales(),
                        chosen.units().minima(),
                        codes);
        return new QuantizedLinear(
                scheme,
                weight.rows(),
                n,
                codes,
                chosen.scales(),
                chosen.zeros(),
                QuantizedLinear.runs(n, scheme.groupSize()),
                1,
                chosen.units());
    }

    /** The grids that span the ranges of groups, each a run of {@code length} columns. */
    private static Scales spanning(Matrix weight, int length, GridSearch search) {
        int inputs = weight.cols();
        Scales scales = Scales.of(weight.rows(), groups(inputs, length));
        GridSearchLoops loops = new GridSearchLoops(search);
        for (int row = 0, at = 0; row < weight.rows(); row++) {
            for (int from = 0; from < inputs; from += length, at++) {
                int begin = row * inputs + from;
                int end = begin + Math.min(length, inputs - from);
                loops.span(weight.values(), begin, end, scales.scales(), scales.zeros(), at);
            }
        }
        return scales;
    }

    private static boolean isBetween(Scheme scheme) {
        return scheme.grid() instanceof IntegerGrid integers && integers.between();
    }

    /** The grids whose first code is the smallest weight of a group, and the last one the largest, but for the rounding of scales. */
    private static Scales between(Matrix weight, int length, GridSearch search) {
        int inputs = weight.cols();
        Scales scales = Scales.of(weight.rows(), groups(inputs, length));
        for (int row = 0, at = 0; row < weight.rows(); row++) {
            for (int from = 0; from < inputs; from += length, at++) {
                float low = Float.POSITIVE_INFINITY;
                float high = Float.NEGATIVE_INFINITY;
                for (int i = from; i < Math.min(from + length, inputs); i++) {
                    low = Math.min(low, weight.at(row, i));
                    high = Math.max(high, weight.at(row, i));
                }
                if (low == high) { // one code for it, another for zero
                    low = Math.min(low, 0);
                    high = Math.max(high, 0);
                }
                float scale = search.stored().stored(low == high ? 1 : (high - low) / search.reach());
                scales.scales()[at] = scale;
                scales.zeros()[at] = -low / scale;
            }
        }
        return scales;
    }

    private static Scales searched(Matrix weight, int length, GridSearch search, float @Nullable [] important) {
        int inputs = weight.cols();
        int rows = weight.rows();
        float[] importance = important;
        if (importance == null) {
            importance = new float[inputs];
            Arrays.fill(importance, 1);
        }
        Scales scales = Scales.of(rows, groups(inputs, length));
        GridSearchLoops loops = new GridSearchLoops(search);
        float[] scale = new float[rows]; // of one group
        float[] zero = new float[rows];
        for (int g = 0; g < scales.groups(); g++) {
            int from = g * length;
            loops.choose(weight::read, rows, from, Math.min(length, inputs - from), importance, scale, zero);
            for (int r = 0; r < rows; r++) {
                scales.scales()[r * scales.groups() + g] = scale[r];
                scales.zeros()[r * scales.groups() + g] = zero[r];
            }
        }
        return scales;
    }

    private static int groups(int inputs, int length) {
        return (inputs + length - 1) / length;
    }

    /** The nearest codes on given grids. */
    private static byte[] codes(Matrix weight, Scheme scheme, Scales scales) {
        int n = weight.cols();
        int length = scheme.groupLength(n);
        byte[] codes = new byte[weight.rows() * n];
        float[] row = new float[n];
        float[] scale = new float[n];
        float[] zero = new float[n];
        for (int r = 0; r < weight.rows(); r++) {
            System.arraycopy(weight.values(), r * n, row, 0, n);
            Scales.spread(scales.scales(), r * scales.groups(), length, scale);
            if (scheme.grid() instanceof LevelGrid levels) {
                places(row, scale, levels, codes, r * n);
            } else {
                Scales.spread(scales.zeros(), r * scales.groups(), length, zero);
                if (isBetween(scheme)) {
                    fromFirstCode(row, scale, zero);
                    Arrays.fill(zero, 0);
                    Arrays.fill(scale, 1);
                }
                numbers(row, scale, zero, scheme, codes, r * n);
            }
        }
        return codes;
    }

    private static void places(float[] row, float[] scale, LevelGrid levels, byte[] codes, int at) {
        if (levels.byReciprocal()) {
            for (int i = 0; i < row.length; i++) {
                row[i] *= 1 / scale[i];
            }
        } else {
            for (int i = 0; i < row.length; i++) {
                row[i] /= scale[i];
            }
        }
        levels.places(row, codes, at);
    }

    /** Weights in steps of their scale from the value of code 0 on. */
    private static void fromFirstCode(float[] row, float[] scale, float[] zero) {
        for (int i = 0; i < row.length; i++) {
            row[i] = row[i] / scale[i] + zero[i];
        }
    }

    /** The first loop is vector code; what it leaves is a number whose lowest bits are the code. */
    private static void numbers(float[] row, float[] scale, float[] zero, Scheme scheme, byte[] codes, int at) {
        float lowest = scheme.lowestCode();
        float highest = scheme.highestCode();
        for (int i = 0; i < row.length; i++) {
            float code = (row[i] / scale[i] + ROUND) - ROUND + zero[i];
            row[i] = Math.max(lowest, Math.min(highest, code)) + ROUND;
        }
        for (int i = 0; i < row.length; i++) {
            codes[at + i] = (byte) Float.floatToRawIntBits(row[i]);
        }
    }

    /** Refuses a weight that no grid of the scheme can hold: NaN, Inf, or further out than the largest scale reaches. */
    static void requireOnGrid(String linear, Matrix weight, Scheme scheme) {
        float most = scheme.largestWeight();
        if (weight.largest() <= most) {
            return;
        }
        for (float w : weight.values()) {
            if (!Float.isFinite(w)) {
                throw new QuernException(
                        "Cannot quantize " + linear + ": its weight holds " + w + " (skip it, or mend the checkpoint)");
            }
            if (Math.abs(w) > most) {
                throw new QuernException(
                        ("Cannot quantize %s: its weight holds %.3g, and scales of type %s reach %.3g at"
                                        + " %d bits (skip it, or mend the checkpoint)")
                                .formatted(linear, w, scheme.scaleType(), most, scheme.bits()));
            }
        }
    }
}
