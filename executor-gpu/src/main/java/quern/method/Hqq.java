package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * Half-quadratic quantization (Badri and Shaji, 2023): without calibration, zero points that are no whole numbers, chosen so that
 * the error has many small values and few large ones. With s the scale and z the zero of a group,
 *
 * <pre>
 * min over z, E of |E|_p^p + beta / 2 |E - (W - s (Q - z))|^2,   Q = round(W / s + z),   p = 0.7
 * </pre>
 *
 * is solved for E and z in turn. E is a shrinkage of what is left of W (1), z the mean over the group that fits the rest (2). The scale
 * stays that of the range. This is the variant that the library takes by default: beta stays, and all stop where the mean error
 * over the whole weight no longer falls.
 */
public final class Hqq implements Method {
    private static final int ROUNDS = 20;
    /** Of an inverse scale. */
    private static final float LARGEST = 2e4f;

    @Override
    public String name() {
        return "hqq";
    }

    @Override
    public boolean needsHessian() {
        return false;
    }

    @Override
    public boolean fractionalZeros() {
        return true;
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        return new Solver() {
            @Override
            public Outcome quantize(String linear, Matrix weight, Scheme scheme) {
                RoundToNearest.requireOnGrid(linear, weight, scheme);
                QuantizedLinear chosen = new Fit(weight, scheme).quantized();
                QuantizedLinear plain = RoundToNearest.quantize(weight, scheme, ScaleRule.MAX, 1);
                Errors errors = Errors.of(weight, chosen);
                return new Outcome(
                        chosen,
                        new Losses(errors.squares(), Errors.of(weight, plain).squares(), errors.norm()),
                        List.of());
            }

            @Override
            public void close() {}
        };
    }

    /** One weight, outputs x inputs, by groups: runs of {@code length} in row-major order. */
    private static final class Fit {
        private final Matrix weight;
        private final Scheme scheme;
        private final int length;
        private final float[] inverse; // groups: 1 / scale
        private final float[] zeros; // groups
        private final double[] errors; // groups: the sum of absolute errors before the last step
        private final boolean[] settled; // groups: the last step left its zero as it was, and so would all others
        private final HqqTile tile;

        Fit(Matrix weight, Scheme scheme) {
            this.weight = weight;
            this.scheme = scheme;
            length = scheme.groupLength(weight.cols());
            inverse = new float[weight.values().length / length];
            zeros = new float[inverse.length];
            errors = new double[inverse.length];
            settled = new boolean[inverse.length];
            tile = new HqqTile(length, scheme.highestCode());
        }

        QuantizedLinear quantized() {
            range();
            double best = Double.POSITIVE_INFINITY;
            for (int round = 0; round < ROUNDS; round++) {
                double error = step();
                if (error >= best) {
                    break;
                }
                best = error;
            }
            return stored();
        }

        /** Scale and zero by the range; four bits begin at a whole zero. */
        private void range() {
            float[] w = weight.values();
            for (int g = 0; g < zeros.length; g++) {
                float low = Float.POSITIVE_INFINITY;
                float high = Float.NEGATIVE_INFINITY;
                for (int i = g * length; i < (g + 1) * length; i++) {
                    low = w[i] < low ? w[i] : low;
                    high = w[i] > high ? w[i] : high;
                }
                float range = high - low;
                inverse[g] = Math.min(range <= 1e-4f ? 1 : scheme.highestCode() * (1 / range), LARGEST);
                zeros[g] = -low * inverse[g];
                if (scheme.bits() == 4) {
                    zeros[g] = (float) Math.rint(zeros[g]);
                }
            }
        }

        /** Equations (1) and (2) for all groups; returns the sum of their absolute errors before. */
        private double step() {
            for (int g = 0; g < zeros.length; ) {
                tile.clear();
                for (; g < zeros.length && !tile.isFull(); g++) {
                    if (!settled[g]) {
                        tile.add(g, weight.values(), inverse[g], zeros[g]);
                    }
                }
                tile.step();
                for (int at = 0; at < tile.groups(); at++) {
                    int group = tile.group(at);
                    float zero = tile.zero(at);
                    settled[group] = zero == zeros[group];
                    zeros[group] = zero;
                    errors[group] = tile.error(at);
                }
            }
            double error = 0;
            for (double e : errors) {
                error += e;
            }
            return error;
        }

        private QuantizedLinear stored() {
            byte[] codes = new byte[weight.values().length];
            for (int g = 0; g < zeros.length; ) {
                tile.clear();
                for (; g < zeros.length && !tile.isFull(); g++) {
                    tile.add(g, weight.values(), inverse[g], zeros[g]);
                }
                tile.codes(codes);
            }
            float[] scales = new float[zeros.length];
            for (int g = 0; g < zeros.length; g++) {
                scales[g] = HalfFloats.round(1 / inverse[g], scheme.scaleType());
                zeros[g] = HalfFloats.round(zeros[g], scheme.scaleType());
            }
            return new QuantizedLinear(
                    scheme,
                    weight.rows(),
                    weight.cols(),
                    codes,
                    scales,
                    zeros,
                    QuantizedLinear.runs(weight.cols(), length));
        }
    }
}
