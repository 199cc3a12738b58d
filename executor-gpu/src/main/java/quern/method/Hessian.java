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
        double loss = 0;
        try (DeviceMatrix e = device.upload(error, DType.F32);
                DeviceMatrix product = device.zeros(error.rows(), error.cols(), DType.F32)) {
            device.solve().addProduct(e, uploaded, 0, error.cols(), product);
            float[] values = device.download(product).values();
            for (int i = 0; i < values.length; i++) {
                loss += (double) values[i] * error.values()[i];
            }
        }
        return loss / Math.max(1, tokens);
    }
}
