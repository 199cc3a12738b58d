package quern.plan;

import java.io.Serializable;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.Recipe;
import quern.transform.Transform;
import quern.transform.Transforms;

/**
 * Which statistics of the inputs of sites calibration gathers.
 *
 * @param hessians sums of products
 * @param magnitudes the largest |x| of each input
 * @param drifts how far what flows is from full precision, see {@link quern.method.Drift}
 */
public record Gathering(boolean hessians, boolean magnitudes, boolean drifts) implements Serializable {
    /** The largest |x| alone. */
    static final Gathering MAGNITUDES = new Gathering(false, true, false);

    static final Gathering NOTHING = new Gathering(false, false, false);

    /** What a recipe needs. */
    public static Gathering of(Recipe recipe) {
        Method method = Methods.named(recipe.method());
        return new Gathering(method.needsHessian(recipe), recipe.fixed().any(), method.needsDrift());
    }

    /** What the recipe's transform is fitted to, in a pass of its own. */
    public static Gathering fitting(Recipe recipe) {
        Transform transform = Transforms.named(recipe.transform());
        return new Gathering(transform.needsHessians(), transform.needsMagnitudes(), false);
    }

    /** What either needs. */
    Gathering and(Gathering other) {
        return new Gathering(hessians || other.hessians, magnitudes || other.magnitudes, drifts || other.drifts);
    }

    /** The same where nothing can drift. */
    Gathering withoutDrifts() {
        return new Gathering(hessians, magnitudes, false);
    }

    /** Whether there is anything to gather, for which tokens have to go through the model. */
    public boolean any() {
        return hessians || magnitudes;
    }
}
