package quern.method;

import java.util.List;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.scheme.QuantizedLinear.Units;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Some rows of a weight on the device while they are quantized, or of each of the k weights of a stack; columns in the order of groups.
 *
 * @param weights (k * rows) x n, F32, zero in dead columns
 * @param grids of the groups
 * @param units what scales are multiples of, where the scheme has nested blocks
 */
record Panel(DeviceMatrix weights, Grids grids, Units units) implements AutoCloseable {
    /**
     * Rows [row, row + rows) of each weight. Their grids are to be chosen, but where the scheme has blocks: the search of these is a
     * format's own and not a device's, so it runs here, and of one weight alone.
     *
     * @param all k weights
     */
    static Panel of(Scheme scheme, Inputs inputs, List<Matrix> all, int row, int rows, Device device) {
        int n = inputs.inputs();
        DeviceMatrix weights = living(inputs, rows(all, row, rows), device);
        try {
            if (scheme.blocks() == null) {
                Grids open = Grids.of(ScaleSearch.values(scheme), weights.rows(), scheme.groups(n), device);
                return new Panel(weights, open, Units.NONE);
            }
            Scales chosen = Scales.of(rows, scheme, n);
            float[] importance = inputs.importance().values();
            new BlockSearch(scheme)
                    .choose(device.download(weights).values(), n, importance, chosen, new byte[rows * n]);
            return new Panel(weights, chosen.upload(scheme, device), chosen.units());
        } catch (RuntimeException e) {
            weights.close();
            throw e;
        }
    }

    /** Rows of each weight, one below the other. */
    private static Matrix rows(List<Matrix> weights, int row, int rows) {
        Matrix first = weights.get(0);
        if (weights.size() == 1 && rows == first.rows()) {
            return first;
        }
        int n = first.cols();
        Matrix stack = Matrix.zeros(weights.size() * rows, n);
        for (int m = 0; m < weights.size(); m++) {
            System.arraycopy(weights.get(m).values(), row * n, stack.values(), m * rows * n, rows * n);
        }
        return stack;
    }

    private static DeviceMatrix living(Inputs inputs, Matrix natural, Device device) {
        int[][] orders = new int[inputs.members()][];
        for (int m = 0; m < orders.length; m++) {
            boolean[] dead = inputs.dead().get(m);
            orders[m] = inputs.columns().get(m).natural().clone();
            for (int i = 0; i < orders[m].length; i++) {
                orders[m][i] = dead[orders[m][i]] ? -1 : orders[m][i];
            }
        }
        try (DeviceMatrix uploaded = device.upload(natural, DType.F32)) {
            return device.solve().columns(uploaded, orders);
        }
    }

    @Override
    public void close() {
        weights.close();
        grids.close();
    }
}
