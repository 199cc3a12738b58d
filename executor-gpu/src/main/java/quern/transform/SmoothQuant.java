package quern.transform;

import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import quern.device.Device;
import quern.method.Statistics;
import quern.model.Absorber;
import quern.model.Model;
import quern.tensor.Matrix;

/**
 * SmoothQuant (Xiao et al. 2023, equation 4): moves what is hard to quantize from activations into weights, for formats whose loaders
 * quantize both. For each channel j of what a norm puts out
 *
 * <pre>
 * s_j = max |x_j|^a / max |w_j|^(1 - a),    a = 1/2
 * </pre>
 *
 * over all tokens, and over all rows of the linears that are to be quantized. As in the paper only inputs that a norm makes are smoothed.
 */
final class SmoothQuant implements Transform {
    private static final double ALPHA = 0.5;

    private static final float LEAST = 1e-5f;

    @Override
    public String name() {
        return "smoothquant";
    }

    @Override
    public boolean needsMagnitudes() {
        return true;
    }

    @Override
    public boolean takes(Absorber absorber) {
        return absorber.ofNorm();
    }

    @Override
    public Model applied(Model model, Vectors vectors) {
        return ChannelScales.applied(model, vectors, this);
    }

    @Override
    public float[] fit(Absorber absorber, List<Sample> linears, Statistics inputs, Device device) {
        float[] x = Objects.requireNonNull(inputs.largest());
        float[] w = new float[x.length];
        for (Sample linear : linears) {
            Matrix weight = linear.weight();
            for (int i = 0; i < weight.values().length; i++) {
                w[i % x.length] = Math.max(w[i % x.length], Math.abs(weight.values()[i]));
            }
        }
        float[] factors = new float[x.length];
        Arrays.fill(factors, 1); // of a channel that no token fills, too
        for (int j = 0; j < x.length; j++) {
            if (x[j] > 0) {
                double factor = Math.pow(x[j], ALPHA) / Math.pow(Math.max(w[j], LEAST), 1 - ALPHA);
                factors[j] = (float) Math.max(factor, LEAST);
            }
        }
        return factors;
    }
}
