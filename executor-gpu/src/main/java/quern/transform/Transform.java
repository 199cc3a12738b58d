package quern.transform;

import java.util.List;
import quern.device.Device;
import quern.method.Statistics;
import quern.model.Absorber;
import quern.model.Model;
import quern.scheme.Scheme;
import quern.tensor.Matrix;

/** What is done to a model before its codes are chosen, and leaves what it computes as it is. Stateless. */
public interface Transform {
    /** The name by which a recipe asks for it. */
    String name();

    /** Whether it is fitted to sums of products of the inputs of sites. */
    default boolean needsHessians() {
        return false;
    }

    /** Whether it is fitted to the largest magnitudes of the inputs of sites. */
    default boolean needsMagnitudes() {
        return false;
    }

    /** Whether it is fitted to the inputs of sites, and hence needs calibration text. */
    default boolean fitted() {
        return needsHessians() || needsMagnitudes();
    }

    /**
     * The model with other numbers, which computes the same. Reads no tensor.
     *
     * @param vectors what was fitted, where it is
     */
    Model applied(Model model, Vectors vectors);

    /** Whether it is fitted to inputs that are made so. */
    default boolean takes(Absorber absorber) {
        return false;
    }

    /**
     * Finds the factors of a site's input: these multiply columns of its linears, and divide the rows of what makes the input.
     *
     * @param absorber what makes it
     * @param linears of the site that are to be quantized
     * @param inputs what is known of its inputs
     * @return one for each channel, all positive
     */
    default float[] fit(Absorber absorber, List<Sample> linears, Statistics inputs, Device device) {
        throw new IllegalStateException(name() + " is not fitted");
    }

    /**
     * A linear that is to be quantized.
     *
     * @param weight outputs x inputs
     * @param scheme what its codes will mean
     */
    record Sample(String name, Matrix weight, Scheme scheme) {}
}
