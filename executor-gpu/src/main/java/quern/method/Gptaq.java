package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.scheme.Recipe;
import quern.scheme.Scheme;

/**
 * GPTAQ (Li et al., 2025), GPTQ with an asymmetric calibration: the inputs of a linear have drifted from those in full precision, since what
 * comes before it is quantized already, and its codes make up for that too; for that of the residual stream likewise. See {@link LayerTarget}.
 */
public final class Gptaq implements Method {
    private final Gptq gptq = new Gptq();

    @Override
    public String name() {
        return "gptaq";
    }

    @Override
    public boolean needsHessian() {
        return true;
    }

    @Override
    public boolean needsDrift() {
        return true;
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        return gptq.solver(recipe, hessian, device, largest);
    }

    @Override
    public boolean takesSharedRows() {
        return true;
    }

    @Override
    public boolean batches(Scheme scheme) {
        return gptq.batches(scheme);
    }

    @Override
    public Batch batch(Recipe recipe, List<? extends @Nullable Hessian> hessians, Device device) {
        return gptq.batch(recipe, hessians, device);
    }
}
