package quern.method;

import org.jspecify.annotations.Nullable;
import quern.tensor.Matrix;

/**
 * What calibration tokens say of x, the input that the linears of a site share.
 *
 * @param tokens how many x were seen
 * @param sum n x n, the sum of x xT, symmetric; null where no one asked for it
 * @param largest n, the largest |x| of each input; null where no one asked for it
 */
public record Statistics(long tokens, @Nullable Matrix sum, float @Nullable [] largest) {
    public static final Statistics NONE = new Statistics(0, null, null);

    /** Null where no one asked for it. */
    public @Nullable Hessian hessian() {
        return sum == null ? null : new Hessian(sum, tokens);
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

    /** Those of the tokens of both. */
    public Statistics plus(Statistics other) {
        Matrix both = sum;
        if (sum != null && other.sum != null) {
            both = sum.copy();
            for (int i = 0; i < both.values().length; i++) {
                both.values()[i] += other.sum.values()[i];
            }
        }
        float[] larger = largest;
        if (largest != null && other.largest != null) {
            larger = largest.clone();
            for (int i = 0; i < larger.length; i++) {
                larger[i] = Math.max(larger[i], other.largest[i]);
            }
        }
        return new Statistics(tokens + other.tokens, both, larger);
    }
}
