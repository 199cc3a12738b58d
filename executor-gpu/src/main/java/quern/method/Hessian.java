package quern.method;

import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The sum of x xT over calibration tokens, and their number. Divided once, at the end.
 *
 * @param sum n x n, symmetric
 * @param tokens how many x were summed
 */
public record Hessian(Matrix sum, long tokens) {
    /** For each input the mean of its square. */
    public float[] meanSquares() {
        float[] squares = new float[sum.rows()];
        for (int i = 0; i < squares.length; i++) {
            squares[i] = sum.at(i, i) / Math.max(1, tokens);
        }
        return squares;
    }

    /**
     * tr(E H ET) / tokens.
     *
     * @param error rows x n
     * @param uploaded the sum, F32
     */
    public double loss(Matrix error, DeviceMatrix uploaded, Device device) {
        try (DeviceMatrix e = device.upload(error, DType.F32)) {
            return device.solve().loss(e, uploaded, 0)[0] / Math.max(1, tokens);
        }
    }
}
