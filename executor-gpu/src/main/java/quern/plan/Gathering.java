package quern.plan;

import quern.method.Methods;
import quern.scheme.Recipe;

/**
 * Which statistics of the inputs of sites calibration gathers.
 *
 * @param hessians sums of products
 * @param magnitudes the largest |x| of each input
 */
public record Gathering(boolean hessians, boolean magnitudes) {
    /** What a recipe needs. */
    public static Gathering of(Recipe recipe) {
        return new Gathering(Methods.named(recipe.method()).needsHessian(), false);
    }

    /** Whether there is anything to gather, for which tokens have to go through the model. */
    public boolean any() {
        return hessians || magnitudes;
    }
}
