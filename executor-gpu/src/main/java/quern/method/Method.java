package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/** How codes are chosen. Stateless; what a site's linears share (one factorization) lives in a {@link Solver}. */
public interface Method {
    String name();

    /** Whether it needs the Hessian of a linear's inputs, and hence calibration. */
    boolean needsHessian();

    /** The same for this recipe. */
    default boolean needsHessian(Recipe recipe) {
        return needsHessian();
    }

    /** Whether it needs to know how inputs have drifted, see {@link Hessian}; sites of a layer are then taken one after the other. */
    default boolean needsDrift() {
        return false;
    }

    /** Whether its zero points are no whole numbers, which few formats can store. */
    default boolean fractionalZeros() {
        return false;
    }

    /** Whether rows are quantized each by itself, but for scales that they share: then a weight may come in panels of rows. */
    default boolean byRows() {
        return false;
    }

    /** Makes ready to quantize the linears of one site, each with scales of its own. */
    default Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device) {
        return solver(recipe, hessian, device, 0);
    }

    /**
     * Makes ready to quantize the linears of one site.
     *
     * @param largest magnitude of the weights of all of them, where their scales are to have one divisor; else 0
     */
    Solver solver(Recipe recipe, @Nullable Hessian hessian, Device device, float largest);

    /** Whether it gains by {@link #batch batches} of linears of this scheme. */
    default boolean batches(Scheme scheme) {
        return false;
    }

    /**
     * Makes ready to quantize the linears of several sites that are alike, as those of experts: as many, of the same shapes and schemes.
     * What each becomes is, bit for bit, what it becomes alone, whichever sites are together.
     */
    default Batch batch(Recipe recipe, List<? extends @Nullable Hessian> hessians, Device device) {
        return new OneByOne(
                hessians.stream().map(h -> solver(recipe, h, device)).toList());
    }

    /** Whether it chooses codes for scales that rows share. */
    default boolean takesSharedRows() {
        return !needsHessian();
    }

    /** Quantizes the linears of several sites. */
    interface Batch extends AutoCloseable {
        /**
         * One linear of each site, in the order of the sites.
         *
         * @param linears their full names, for messages
         * @param weights outputs x inputs
         * @param scheme what their codes are to mean
         */
        List<Outcome> quantize(List<String> linears, List<Matrix> weights, Scheme scheme);

        @Override
        void close();
    }

    /** Quantizes the linears of one site, which share one Hessian. */
    interface Solver extends AutoCloseable {
        /**
         * @param linear its full name, for messages
         * @param weight outputs x inputs
         * @param scheme what its codes are to mean
         */
        Outcome quantize(String linear, Matrix weight, Scheme scheme);

        @Override
        void close();
    }

    /**
     * @param quantized the codes
     * @param losses what they cost, beside round-to-nearest with the same grid rule (max scales)
     * @param notes what the report must say of this linear: a raised damping, a fall-back; empty in the ordinary case
     */
    record Outcome(QuantizedLinear quantized, Losses losses, List<String> notes) {}

    /**
     * tr(E H ET) / tokens for E = W - Q, in the units of a squared output summed over outputs; for a method without a
     * Hessian, the sum of squared errors of the weights.
     *
     * @param loss of what was chosen
     * @param roundToNearest of the codes nearest to the weights on grids by max
     * @param weightNorm the same measure of W itself: loss / weightNorm is a relative error
     */
    record Losses(double loss, double roundToNearest, double weightNorm) {}
}
