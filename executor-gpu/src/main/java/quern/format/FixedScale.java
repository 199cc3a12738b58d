package quern.format;

import java.nio.ByteBuffer;
import java.util.List;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/**
 * How a format stores a scale that calibration fixed for values x: the largest code, {@code reach}, stands for the largest |x|.
 *
 * @param suffix of the tensor's name
 * @param type of the tensor
 * @param shape of the tensor, which has one element
 * @param reach the largest magnitude of a code
 * @param divides whether codes are x times what is stored; else x over it
 */
public record FixedScale(String suffix, DType type, List<Long> shape, float reach, boolean divides) {
    public FixedScale {
        shape = List.copyOf(shape);
    }

    /** Codes times what is stored are the values. */
    public static FixedScale multiplier(String suffix, DType type, float reach, Long... shape) {
        return new FixedScale(suffix, type, List.of(shape), reach, false);
    }

    /** @param module the linear, or what holds the values */
    public TensorSpec spec(String module) {
        return new TensorSpec(module + suffix, type, shape);
    }

    /**
     * The bytes of the tensor. Values that are always 0 get a scale of 1.
     *
     * @param largest magnitude of the values
     * @param module for messages
     */
    public ByteBuffer pack(float largest, String module) {
        if (!Float.isFinite(largest)) {
            throw new QuernException("Cannot fix %s%s: calibration met %s there (use --activations dynamic)"
                    .formatted(module, suffix, largest));
        }
        float scale = largest == 0 ? 1 : divides ? reach / largest : largest / reach;
        return HalfFloats.fromFloats(new float[] {scale}, type);
    }
}
