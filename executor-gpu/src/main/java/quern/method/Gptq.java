package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.scheme.Recipe;
import quern.scheme.Scheme;

/**
 * GPTQ (Frantar et al., 2023): columns are quantized one after the other, each error is made up for by the columns that
 * are still free. See {@link GptqSolver} for the algorithm.
 */
public final class Gptq implements Method {
    @Override
    public String name() {
        return "gptq";
    }

    @Override
    public boolean needsHessian() {
        return true;
    }

    @Override
    public Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest) {
        if (hessian == null) {
            throw new IllegalArgumentException("GPTQ needs the Hessian of its site");
        }
        return new GptqSolver(recipe, hessian, device, largest);
    }

    @Override
    public boolean takesSharedRows() {
        return true;
    }

    @Override
    public boolean batches(Scheme scheme) {
        return GptqBatch.stacks(scheme);
    }

    @Override
    public Batch batch(Recipe recipe, List<? extends @Nullable Hessian> hessians, Device device) {
        return new GptqBatch(recipe, hessians, device);
    }
}
