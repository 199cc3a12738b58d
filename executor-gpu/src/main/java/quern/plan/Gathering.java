package quern.plan;

import java.io.Serializable;
import quern.method.Methods;
import quern.scheme.Recipe;
import quern.transform.Transform;
import quern.transform.Transforms;

/**
 * Which statistics of the inputs of sites calibration gathers.
 *
 * @param hessians sums of products
 * @param magnitudes the largest |x| of each input
 */
public record Gathering(boolean hessians, boolean magnitudes) implements Serializable {
    /** What a recipe needs. */
    public static Gathering of(Recipe recipe) {
        return new Gathering(
                Methods.named(recipe.method()).needsHessian(recipe),
                recipe.fixed().any());
    }

    /** What the recipe's transform is fitted to, in a pass of its own. */
    public static Gathering fitting(Recipe recipe) {
        Transform transform = Transforms.named(recipe.transform());
        return new Gathering(transform.needsHessians(), transform.needsMagnitudes());
    }

    /** What either needs. */
    Gathering and(Gathering other) {
        return new Gathering(hessians || other.hessians, magnitudes || other.magnitudes);
    }

    /** Whether there is anything to gather, for which tokens have to go through the model. */
    public boolean any() {
        return hessians || magnitudes;
    }
}
