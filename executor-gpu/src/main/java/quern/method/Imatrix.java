package quern.method;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Every weight to the nearest code, with scales that are searched for the inputs that matter: an error weighs as much as the mean square of
 * its input, diag(H). This is what llama.cpp does with an importance matrix.
 */
public final class Imatrix implements Method {
    @Override
    public String name() {
        return "imatrix";
    }

    @Override
    public boolean needsHessian() {
        return true;
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        if (hessian == null) {
            throw new IllegalArgumentException("The importance of inputs is the diagonal of their Hessian");
        }
        return new Nearest(hessian, device, largest);
    }

    private static final class Nearest implements Solver {
        private final Hessian hessian;
        private final Device device;
        private final float largest;
        private final float[] importance; // of each input
        private final boolean reached;
        private final DeviceMatrix uploaded; // the sum

        Nearest(Hessian hessian, Device device, float largest) {
            this.hessian = hessian;
            this.device = device;
            this.largest = largest;
            importance = hessian.meanSquares();
            boolean any = false;
            for (float each : importance) {
                any |= each != 0;
            }
            reached = any;
            if (!any) {
                Arrays.fill(importance, 1);
            }
            uploaded = device.upload(hessian.sum(), DType.F32);
        }

        @Override
        public Outcome quantize(String linear, Matrix weight, Scheme scheme) {
            RoundToNearest.requireOnGrid(linear, weight, scheme);
            for (float value : importance) {
                if (!Float.isFinite(value)) {
                    throw new QuernException("Cannot quantize " + linear + ": the Hessian of its inputs holds " + value
                            + " (the model overflows on the calibration text; try other text, or method rtn)");
                }
            }
            float divisor = ScaleSearch.divisor(scheme, weight, largest);
            QuantizedLinear chosen = RoundToNearest.quantize(weight, scheme, ScaleRule.DIAGONAL, divisor, importance);
            QuantizedLinear plain = RoundToNearest.quantize(weight, scheme, ScaleRule.MAX, divisor);
            return new Outcome(
                    chosen,
                    new Losses(loss(weight, chosen), loss(weight, plain), hessian.loss(weight, uploaded, device)),
                    reached ? List.of() : List.of("no calibration token reached it; rounded to nearest"));
        }

        private double loss(Matrix weight, QuantizedLinear quantized) {
            Matrix error = quantized.dequantize();
            for (int i = 0; i < error.values().length; i++) {
                error.values()[i] = weight.values()[i] - error.values()[i];
            }
            return hessian.loss(error, uploaded, device);
        }

        @Override
        public void close() {
            uploaded.close();
        }
    }
}
