package quern.transform;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.method.Hessian;
import quern.method.Method;
import quern.method.Methods;
import quern.method.Statistics;
import quern.model.Absorber;
import quern.model.Model;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.tensor.Matrix;

/**
 * Activation-aware scaling (AWQ, Lin et al. 2024): channels of large inputs get larger weights, which round to relatively finer steps.
 * The factors of a site's input are searched among
 *
 * <pre>
 * s = x^r    and    s = x^r / w^(1 - r),    r = 0, 1/20, ..., 19/20,    over sqrt(max s * min s)
 * </pre>
 *
 * with x the root mean square of a channel's inputs and w the mean over rows of its weights' magnitudes, each over the largest of its
 * group. Those are taken whose weights, rounded to nearest, lose least of what the site's linears put out: with E = W - Q(W s) / s and
 * H the mean of x xT over tokens, the sum over linears of tr(E H ET). Of a linear with many rows some speak for all.
 *
 * <p>The paper takes the mean magnitude for x, compares outputs of a whole block for some tokens, and then clips weights. Here H holds
 * what all tokens say; clipping is the search of scales of the method, which leaves the model's function alone.
 */
final class Awq implements Transform {
    private static final int STEPS = 20;

    /** Rows of a linear that take part in the search. */
    private static final int ROWS = 512;

    private static final Recipe PLAIN =
            Recipe.DEFAULT.edit().scales(ScaleRule.MAX).recipe();

    private static final float LEAST = 1e-4f;

    @Override
    public String name() {
        return "awq";
    }

    @Override
    public boolean needsHessians() {
        return true;
    }

    @Override
    public boolean takes(Absorber absorber) {
        return true;
    }

    @Override
    public Model applied(Model model, Vectors vectors) {
        return ChannelScales.applied(model, vectors, this);
    }

    @Override
    public float[] fit(Absorber absorber, List<Sample> linears, Statistics statistics, Device device) {
        Hessian inputs = Objects.requireNonNull(statistics.hessian());
        List<Sample> some = linears.stream().map(Awq::thinned).toList();
        float[] x = inputSizes(absorber, inputs);
        float[] w = weightSizes(absorber, linears);
        return inputs.on(device, h -> best(some, x, w, absorber, inputs, h, device));
    }

    private static float[] best(
            List<Sample> some, float[] x, float[] w, Absorber absorber, Hessian inputs, DeviceMatrix h, Device device) {
        float[] best = new float[absorber.channels()];
        Arrays.fill(best, 1);
        double least = loss(some, best, absorber, inputs, h, device);
        for (boolean weighed : new boolean[] {false, true}) {
            for (int step = 0; step < STEPS; step++) {
                float[] scales = candidate(x, w, (double) step / STEPS, weighed);
                double loss = loss(some, scales, absorber, inputs, h, device);
                if (loss < least) {
                    least = loss;
                    best = scales;
                }
            }
        }
        return best;
    }

    /** Rows at equal distances. */
    private static Sample thinned(Sample linear) {
        Matrix weight = linear.weight();
        int rows = Math.min(ROWS, weight.rows());
        Matrix some = Matrix.zeros(rows, weight.cols());
        for (int r = 0; r < rows; r++) {
            int from = (int) ((long) r * weight.rows() / rows);
            System.arraycopy(weight.values(), from * weight.cols(), some.values(), r * weight.cols(), weight.cols());
        }
        return new Sample(linear.name(), some, linear.scheme());
    }

    /** The root mean square of each channel's inputs. */
    private static float[] inputSizes(Absorber absorber, Hessian inputs) {
        float[] ofInput = inputs.meanSquares();
        double[] squares = new double[absorber.channels()];
        int[] columns = new int[absorber.channels()];
        for (int i = 0; i < ofInput.length; i++) {
            squares[absorber.channelOfInput()[i]] += ofInput[i];
            columns[absorber.channelOfInput()[i]]++;
        }
        float[] sizes = new float[squares.length];
        for (int c = 0; c < sizes.length; c++) {
            sizes[c] = (float) Math.sqrt(squares[c] / columns[c]);
        }
        return sizes;
    }

    /** For each channel the mean of |w| / (the largest |w| of its group), over rows and linears. */
    private static float[] weightSizes(Absorber absorber, List<Sample> linears) {
        double[] sums = new double[absorber.channels()];
        long[] counts = new long[absorber.channels()];
        for (Sample linear : linears) {
            Matrix weight = linear.weight();
            int length = linear.scheme().groupLength(weight.cols());
            for (int row = 0; row < weight.rows(); row++) {
                for (int from = 0; from < weight.cols(); from += length) {
                    int to = Math.min(weight.cols(), from + length);
                    float largest = 0;
                    for (int i = from; i < to; i++) {
                        largest = Math.max(largest, Math.abs(weight.at(row, i)));
                    }
                    for (int i = from; i < to && largest > 0; i++) {
                        int channel = absorber.channelOfInput()[i];
                        sums[channel] += Math.abs(weight.at(row, i)) / largest;
                        counts[channel]++;
                    }
                }
            }
        }
        float[] sizes = new float[sums.length];
        for (int c = 0; c < sizes.length; c++) {
            sizes[c] = counts[c] == 0 ? 1 : (float) (sums[c] / counts[c]);
        }
        return sizes;
    }

    /** The factors of a ratio, about one. */
    private static float[] candidate(float[] x, float[] w, double ratio, boolean weighed) {
        float[] scales = new float[x.length];
        float largest = 0;
        float smallest = Float.MAX_VALUE;
        for (int c = 0; c < x.length; c++) {
            double scale = Math.pow(x[c], ratio);
            scale = weighed ? scale / (Math.pow(w[c], 1 - ratio) + LEAST) : scale;
            scales[c] = (float) Math.max(scale, LEAST);
            largest = Math.max(largest, scales[c]);
            smallest = Math.min(smallest, scales[c]);
        }
        float middle = (float) Math.sqrt((double) largest * smallest);
        for (int c = 0; c < scales.length; c++) {
            scales[c] /= middle;
        }
        return scales;
    }

    /** The sum over linears of tr(E H ET). */
    private static double loss(
            List<Sample> linears,
            float[] scales,
            Absorber absorber,
            Hessian inputs,
            DeviceMatrix uploaded,
            Device device) {
        float[] ofInput = ChannelScales.ofInputs(scales, absorber.channelOfInput());
        double sum = 0;
        for (Sample linear : linears) {
            sum += inputs.loss(error(linear, ofInput, device), uploaded, device);
        }
        return sum;
    }

    /** W - Q(W s) / s, rows x inputs. */
    private static Matrix error(Sample linear, float[] ofInput, Device device) {
        Matrix weight = linear.weight();
        int n = weight.cols();
        Matrix scaled = weight.copy();
        for (int i = 0; i < scaled.values().length; i++) {
            scaled.values()[i] *= ofInput[i % n];
        }
        float[] rounded;
        try (Method.Solver solver = Methods.named("rtn").solver(PLAIN, null, device)) {
            rounded = solver.quantize(linear.name(), scaled, linear.scheme())
                    .quantized()
                    .dequantize()
                    .values();
        }
        for (int i = 0; i < rounded.length; i++) {
            scaled.values()[i] = weight.values()[i] - rounded[i] / ofInput[i % n];
        }
        return scaled;
    }
}
