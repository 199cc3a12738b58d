package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What the codes of a linear are to come near to, where its inputs X have drifted from F, those in full precision, since what comes before it
 * is quantized already (GPTAQ; Li et al., 2025); and the residual stream R that its outputs are added to from S, which the paper leaves as it is:
 *
 * <pre>
 * min over Q of |S + W F - R - Q X|^2 = min over Q of |(W* - Q) X|^2 + what no Q changes      (1)
 * W* = W + a W D inv(H) + b E inv(H)                                                           (2)
 * D = (F - X) XT / tokens,   E = (S - R) XT / tokens,   H = X XT / tokens + lambda
 * </pre>
 *
 * so everything that chooses codes for W does so for W*. With a = b = 1 it is the least squares of the calibration tokens, and fits them better
 * than others: n inputs explain about n / tokens of any noise. So of what X explains of a drift, as much is made up for as the drift of
 * other tokens is expected to have (the shrinkage of James and Stein):
 *
 * <pre>
 * a = 1 - {@value #DEPENDENT} n / tokens * |F - X - D inv(H) X|^2 / |D inv(H) X|^2, not below 0, and b likewise                        (3)
 * </pre>
 *
 * @param shift a D inv(H), n x n, F32, natural order of columns
 * @param constant b E inv(H), outputs x n, natural order of columns; null where nothing is added
 * @param notes what the report must say of it
 */
record LayerTarget(DeviceMatrix shift, @Nullable Matrix constant, List<String> notes, Device device)
        implements AutoCloseable {
    /** Tokens of a text depend on each other: they tell what half as many would that do not. */
    private static final int DEPENDENT = 2;

    /**
     * Of a site; null where nothing has drifted.
     *
     * @param hessian with its drift
     * @param inputs of the same site: the damped Hessian, factored in whatever order
     */
    static @Nullable LayerTarget of(Hessian hessian, Inputs inputs, Device device) {
        Drift drift = hessian.drift();
        if (drift == null) {
            return null;
        }
        Matrix constant = null;
        if (drift.stream() != null) {
            try (Explained explained = explained(drift.stream(), drift.squares()[1], hessian, inputs, device)) {
                constant = device.download(explained.map());
            }
        }
        Explained explained = explained(drift.inputs(), drift.squares()[0], hessian, inputs, device);
        List<String> notes = explained.share() > 0 || drift.squares()[0] == 0 // or all before it is as it was
                ? List.of()
                : List.of(("the drift of its inputs cannot be told from noise with %d tokens; it is left as it is"
                                + " (calibrate with more text)")
                        .formatted(hessian.tokens()));
        return new LayerTarget(explained.map(), constant, notes, device);
    }

    /**
     * What X tells of a drift that tokens to come will have, too.
     *
     * @param map a D inv(H) or b E inv(H), rows x n, F32, natural order of columns
     * @param share a or b
     */
    private record Explained(DeviceMatrix map, double share) implements AutoCloseable {
        @Override
        public void close() {
            map.close();
        }
    }

    /**
     * @param products D or E of (2) times tokens, rows x n
     * @param squares of the drift, summed over tokens
     */
    private static Explained explained(Placed products, double squares, Hessian hessian, Inputs inputs, Device device) {
        int[] order = inputs.columns().get(0).sweepToNatural();
        float mean = 1f / Math.max(1, hessian.tokens());
        try (DeviceMatrix natural = products.on(device, sum -> device.forward().scale(sum, mean, DType.F32));
                DeviceMatrix ordered = device.solve().columns(natural, order);
                DeviceMatrix quotient =
                        device.solve().divide(ordered, inputs.hessian().factor());
                DeviceMatrix map = device.solve().columns(quotient, Columns.inverse(order))) {
            double explained = device.solve().loss(quotient, ordered, 0)[0]; // tr(D inv(H) DT)
            double share = share(explained, squares * mean, (double) inputs.inputs() / hessian.tokens());
            return new Explained(device.forward().scale(map, (float) share, DType.F32), share);
        }
    }

    /**
     * Equation (3).
     *
     * @param explained of all squares
     * @param ratio inputs over tokens
     */
    static double share(double explained, double all, double ratio) {
        if (!(explained > 0) || ratio >= 1) {
            return 0;
        }
        double noise = Math.max(0, all - explained) / (1 - ratio);
        return Math.max(0, 1 - DEPENDENT * ratio * noise / explained);
    }

    /** W* of (2), outputs x n. */
    Matrix of(Matrix weight) {
        int n = weight.cols();
        Matrix target = Matrix.zeros(weight.rows(), n);
        for (int row = 0, rows; row < weight.rows(); row += rows) {
            rows = Math.min(device.solve().rowsAtATime(), weight.rows() - row);
            Matrix panel = rows(weight, row, rows);
            Matrix start = constant == null ? panel : sum(panel, rows(constant, row, rows));
            try (DeviceMatrix w = device.upload(panel, DType.F32);
                    DeviceMatrix moved = device.upload(start, DType.F32)) {
                device.solve().addProduct(1, w, shift, 0, n, moved);
                System.arraycopy(device.download(moved).values(), 0, target.values(), row * n, rows * n);
            }
        }
        return target;
    }

    private static Matrix rows(Matrix matrix, int from, int rows) {
        Matrix some = Matrix.zeros(rows, matrix.cols());
        System.arraycopy(matrix.values(), from * matrix.cols(), some.values(), 0, some.values().length);
        return some;
    }

    private static Matrix sum(Matrix a, Matrix b) {
        Matrix sum = a.copy();
        for (int i = 0; i < sum.values().length; i++) {
            sum.values()[i] += b.values()[i];
        }
        return sum;
    }

    @Override
    public void close() {
        shift.close();
    }
}
