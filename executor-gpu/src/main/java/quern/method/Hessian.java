package quern.method;

import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The sum of x xT over calibration tokens, and their number. Divided once, at the end. It lies where it was summed. Beside it may stand
 * how far inputs have <em>drifted</em>.
 */
public final class Hessian {
    private final Placed sum; // n x n, symmetric
    private final @Nullable Drift drift;
    private final long tokens;

    private Hessian(Placed sum, @Nullable Drift drift, long tokens) {
        this.sum = sum;
        this.drift = drift;
        this.tokens = tokens;
    }

    /**
     * @param sum n x n, symmetric
     * @param tokens how many x were summed
     */
    public Hessian(Matrix sum, long tokens) {
        this(sum, null, tokens);
    }

    /**
     * @param sum n x n, symmetric
     * @param drift null where nothing drifts, or no one asked for it
     * @param tokens how many x were summed
     */
    public Hessian(Matrix sum, @Nullable Drift drift, long tokens) {
        this(Placed.of(sum), drift, tokens);
    }

    /**
     * @param sum n x n, F32, symmetric; stays its maker's to close
     * @param drift null where nothing drifts, or no one asked for it
     * @param tokens how many x were summed
     */
    public Hessian(DeviceMatrix sum, @Nullable Drift drift, Device device, long tokens) {
        this(Placed.of(sum, device), drift, tokens);
    }

    /** How many x were summed. */
    public long tokens() {
        return tokens;
    }

    /** n. */
    public int inputs() {
        return sum.rows();
    }

    /** n x n, symmetric; a copy where it lies on a device. */
    public Matrix sum() {
        return sum.matrix();
    }

    /** Null where nothing drifts, or no one asked for it. */
    @Nullable
    Drift drift() {
        return drift;
    }

    /** n, the diagonal of the sum. */
    public float[] diagonal() {
        return sum.diagonal();
    }

    /** For each input the mean of its square. */
    public float[] meanSquares() {
        float[] squares = diagonal();
        for (int i = 0; i < squares.length; i++) {
            squares[i] /= Math.max(1, tokens);
        }
        return squares;
    }

    /** What comes of the sum on the device, n x n, F32, which is lent for that. */
    public <R> R on(Device onIt, Function<DeviceMatrix, R> use) {
        return sum.on(onIt, use);
    }

    /**
     * tr(E H ET) / tokens.
     *
     * @param error rows x n
     * @param onIt the sum, F32, see {@link #on}
     */
    public double loss(Matrix error, DeviceMatrix onIt, Device device) {
        try (DeviceMatrix e = device.upload(error, DType.F32);
                DeviceMatrix product = DampedHessian.product(e, onIt, device)) {
            return device.solve().loss(e, product, 0)[0] / Math.max(1, tokens);
        }
    }
}
