package quern.method;

import org.jspecify.annotations.Nullable;
import quern.tensor.Matrix;

/**
 * What calibration tokens say of x, the input that the linears of a site share.
 *
 * @param tokens how many x were seen
 * @param hessian the sum of x xT; null where no one asked for it
 * @param largest n, the largest |x| of each input; null where no one asked for it
 */
public record Statistics(long tokens, @Nullable Hessian hessian, float @Nullable [] largest) {
    public static final Statistics NONE = new Statistics(0, null, null);

    /** @param sum n x n, the sum of x xT, symmetric; null where no one asked for it */
    public static Statistics of(long tokens, @Nullable Matrix sum, float @Nullable [] largest) {
        return of(tokens, sum, null, largest);
    }

    /** @param drift null where nothing drifts, or no one asked for it */
    public static Statistics of(long tokens, @Nullable Matrix sum, @Nullable Drift drift, float @Nullable [] largest) {
        return new Statistics(tokens, sum == null ? null : new Hessian(sum, drift, tokens), largest);
    }

    /** The sum of x xT on the host; null where no one asked for it. */
    public @Nullable Matrix sum() {
        return hessian == null ? null : hessian.sum();
    }

    /** Null where nothing drifts, or no one asked for it. */
    public @Nullable Drift drift() {
        return hessian == null ? null : hessian.drift();
    }

    /** The largest |x| of all inputs. */
    public float magnitude() {
        if (largest == null) {
            throw new IllegalStateException("Magnitudes were not gathered");
        }
        float magnitude = 0;
        for (float each : largest) {
            magnitude = Math.max(magnitude, each);
        }
        return magnitude;
    }

    /** Those of the tokens of both, without drift. */
    public Statistics plus(Statistics other) {
        Matrix both = sum();
        Matrix others = other.sum();
        if (both != null && others != null) {
            both = both.copy();
            for (int i = 0; i < both.values().length; i++) {
                both.values()[i] += others.values()[i];
            }
        }
        float[] larger = largest;
        if (largest != null && other.largest != null) {
            larger = largest.clone();
            for (int i = 0; i < larger.length; i++) {
                larger[i] = Math.max(larger[i], other.largest[i]);
            }
        }
        return of(tokens + other.tokens, both, larger);
    }
}
