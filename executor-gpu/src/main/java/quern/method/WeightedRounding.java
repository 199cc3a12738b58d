package quern.method;

import java.util.List;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.scheme.QuantizedLinear;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/**
 * Round-to-nearest for the linears of one site, whose scales are searched with errors weighed by the mean squares of inputs, diag(H).
 * Losses are measured by the whole Hessian.
 */
final class WeightedRounding implements Method.Solver {
    private final ScaleRule rule;
    private final Hessian hessian;
    private final Device device;
    private final float largest; // of all weights of the site, or 0
    private final float[] importance; // of each input

    WeightedRounding(ScaleRule rule, Hessian hessian, Device device, float largest) {
        this.rule = rule;
        this.hessian = hessian;
        this.device = device;
        this.largest = largest;
        importance = hessian.meanSquares();
    }

    @Override
    public Method.Outcome quantize(String linear, Matrix weight, Scheme scheme) {
        RoundToNearest.requireOnGrid(linear, weight, scheme);
        boolean reached = false;
        for (float value : importance) {
            if (!Float.isFinite(value)) {
                throw new QuernException("Cannot quantize " + linear + ": the Hessian of its inputs holds " + value
                        + " (the model overflows on the calibration text; try other text, or method rtn)");
            }
            reached |= value != 0;
        }
        if (!reached) {
            return RoundToNearest.outcome(
                    weight, scheme, rule, largest, List.of("no calibration token reached it; rounded to nearest"));
        }
        float divisor = ScaleSearch.divisor(scheme, weight, largest);
        QuantizedLinear chosen = RoundToNearest.quantize(weight, scheme, rule, divisor, importance);
        QuantizedLinear plain = RoundToNearest.quantize(weight, scheme, ScaleRule.MAX, divisor);
        return hessian.on(
                device,
                sum -> new Method.Outcome(
                        chosen,
                        new Method.Losses(
                                loss(weight, chosen, sum), loss(weight, plain, sum), hessian.loss(weight, sum, device)),
                        List.of()));
    }

    private double loss(Matrix weight, QuantizedLinear quantized, DeviceMatrix sum) {
        Matrix error = quantized.dequantize();
        for (int i = 0; i < error.values().length; i++) {
            error.values()[i] = weight.values()[i] - error.values()[i];
        }
        return hessian.loss(error, sum, device);
    }

    @Override
    public void close() {}
}
