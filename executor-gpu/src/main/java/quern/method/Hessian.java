package quern.method;

import java.util.Objects;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The sum of x xT over calibration tokens, and their number. Divided once, at the end. It lies where it was summed: on the host, where
 * parts came together from several processes, or still on the device.
 */
public final class Hessian {
    private final @Nullable Matrix onHost; // n x n, symmetric
    private final @Nullable DeviceMatrix onDevice; // n x n, F32, symmetric
    private final @Nullable Device device;
    private final long tokens;

    /**
     * @param sum n x n, symmetric
     * @param tokens how many x were summed
     */
    public Hessian(Matrix sum, long tokens) {
        onHost = sum;
        onDevice = null;
        device = null;
        this.tokens = tokens;
    }

    /**
     * @param sum n x n, F32, symmetric; stays its maker's to close
     * @param tokens how many x were summed
     */
    public Hessian(DeviceMatrix sum, Device device, long tokens) {
        onHost = null;
        onDevice = sum;
        this.device = device;
        this.tokens = tokens;
    }

    /** How many x were summed. */
    public long tokens() {
        return tokens;
    }

    /** n. */
    public int inputs() {
        return onHost != null ? onHost.rows() : Objects.requireNonNull(onDevice).rows();
    }

    /** n x n, symmetric; a copy where it lies on a device. */
    public Matrix sum() {
        if (onHost != null) {
            return onHost;
        }
        return Objects.requireNonNull(device).download(Objects.requireNonNull(onDevice));
    }

    /** n, the diagonal of the sum. */
    public float[] diagonal() {
        if (onHost == null) {
            return Objects.requireNonNull(device).solve().diagonal(Objects.requireNonNull(onDevice));
        }
        float[] diagonal = new float[onHost.rows()];
        for (int i = 0; i < diagonal.length; i++) {
            diagonal[i] = onHost.at(i, i);
        }
        return diagonal;
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
        if (onDevice != null) {
            return use.apply(onDevice);
        }
        try (DeviceMatrix uploaded = onIt.upload(Objects.requireNonNull(onHost), DType.F32)) {
            return use.apply(uploaded);
        }
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
