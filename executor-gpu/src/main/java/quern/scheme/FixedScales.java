package quern.scheme;

import java.io.Serializable;

/**
 * Of what flows through a model when it runs in few bits, what has a scale that calibration fixes.
 *
 * @param inputs of quantized linears; else a program that quantizes them takes a scale of each token
 * @param cache keys and values, in 8-bit floats; else they stay as they are
 */
public record FixedScales(boolean inputs, boolean cache) implements Serializable {
    public static final FixedScales NONE = new FixedScales(false, false);

    public boolean any() {
        return inputs || cache;
    }
}
