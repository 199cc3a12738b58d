package quern.method;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What the codes of a linear are to come near to, where its inputs X have drifted from F, those of the layer in full precision, since the
 * linears before it are quantized already (GPTAQ; Li et al., 2025):
 *
 * <pre>
 * min over Q of |W F - Q X|^2 = min over Q of |(W* - Q) X|^2 + what no Q changes      (1)
 * W* = W + W D inv(H),   D = (F - X) XT / tokens,   H = X XT / tokens + lambda          (2)
 * </pre>
 *
 * so everything that chooses codes for W does so for W*.
 *
 * @param shift D inv(H), n x n, F32, natural order of columns
 */
record LayerTarget(DeviceMatrix shift, Device device) implements AutoCloseable {
    /**
     * Of a site; null where its inputs have not drifted.
     *
     * @param hessian with the sum of f xT
     * @param inputs of the same site: the damped Hessian, factored in whatever order
     */
    static @Nullable LayerTarget of(Hessian hessian, Inputs inputs, Device device) {
        Placed cross = hessian.cross();
        if (cross == null) {
            return null;
        }
        int[] order = inputs.columns().get(0).sweepToNatural();
        try (DeviceMatrix drift = drift(hessian, cross, device);
                DeviceMatrix ordered = device.solve().columns(drift, order);
                DeviceMatrix quotient =
                        device.solve().divide(ordered, inputs.hessian().factor())) {
            return new LayerTarget(device.solve().columns(quotient, Columns.inverse(order)), device);
        }
    }

    /** D of (2), n x n: what products with F have more than those with X. */
    private static DeviceMatrix drift(Hessian hessian, Placed cross, Device device) {
        float mean = 1f / Math.max(1, hessian.tokens());
        try (DeviceMatrix full = cross.on(device, sum -> device.forward().scale(sum, mean, DType.F32));
                DeviceMatrix own = hessian.on(device, sum -> device.forward().scale(sum, -mean, DType.F32))) {
            return device.forward().add(full, own);
        }
    }

    /** W* of (2), outputs x n. */
    Matrix of(Matrix weight) {
        int n = weight.cols();
        Matrix target = Matrix.zeros(weight.rows(), n);
        for (int row = 0, rows; row < weight.rows(); row += rows) {
            rows = Math.min(device.solve().rowsAtATime(), weight.rows() - row);
            Matrix panel = new Matrix(rows, n, Arrays.copyOfRange(weight.values(), row * n, (row + rows) * n));
            try (DeviceMatrix w = device.upload(panel, DType.F32);
                    DeviceMatrix moved = device.upload(panel, DType.F32)) {
                device.solve().addProduct(1, w, shift, 0, n, moved);
                System.arraycopy(device.download(moved).values(), 0, target.values(), row * n, rows * n);
            }
        }
        return target;
    }

    @Override
    public void close() {
        shift.close();
    }
}
