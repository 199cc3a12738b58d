package quern.method;

import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;

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
        return new WeightedRounding(ScaleRule.DIAGONAL, hessian, device, largest);
    }
}
