package quern.method;

import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.Matrix;

/**
 * How far a site is from full precision, since what comes before it is quantized. Its linears are given x, and would be given f; what the
 * only one puts out is added to r, which would be s. Sums over calibration tokens, with x as in {@link Hessian}.
 */
public final class Drift {
    private final Placed inputs; // n x n
    private final @Nullable Placed stream; // outputs x n
    private final float[] squares;

    private Drift(Placed inputs, @Nullable Placed stream, float[] squares) {
        this.inputs = inputs;
        this.stream = stream;
        this.squares = squares;
    }

    /**
     * @param inputs the sum of (f - x) xT, n x n
     * @param stream the sum of (s - r) xT, outputs x n; null where nothing is added
     * @param squares the sums of |f - x|^2 and of |s - r|^2
     */
    public static Drift of(Matrix inputs, @Nullable Matrix stream, float[] squares) {
        return new Drift(Placed.of(inputs), stream == null ? null : Placed.of(stream), squares);
    }

    /**
     * @param inputs as in {@link #of(Matrix, Matrix, float[])}, F32; stays its maker's to close
     * @param stream likewise
     */
    public static Drift of(DeviceMatrix inputs, @Nullable DeviceMatrix stream, float[] squares, Device device) {
        return new Drift(Placed.of(inputs, device), stream == null ? null : Placed.of(stream, device), squares);
    }

    /** The sum of (f - x) xT, n x n. */
    Placed inputs() {
        return inputs;
    }

    /** The sum of (s - r) xT, outputs x n; null where nothing is added. */
    @Nullable
    Placed stream() {
        return stream;
    }

    /** {@link #inputs} on the host. */
    public Matrix inputsOnHost() {
        return inputs.matrix();
    }

    /** {@link #stream} on the host. */
    public @Nullable Matrix streamOnHost() {
        return stream == null ? null : stream.matrix();
    }

    /** The sums of |f - x|^2 and of |s - r|^2. */
    public float[] squares() {
        return squares;
    }
}
