package quern.method;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.BlockSearch;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Some rows of a weight on the device while they are quantized, or of each of the k weights of a stack; columns in the order of groups.
 *
 * @param weights (k * rows) x n, F32, zero in dead columns
 * @param grids of the groups
 */
record Panel(DeviceMatrix weights, Grids grids) implements AutoCloseable {
    /**
     * Rows [row, row + rows) of each weight. Their grids are to be chosen, but where the scheme has blocks, of one weight alone: these are
     * chosen here.
     *
     * @param all k weights
     * @param shared the scales of an only one, where rows share them
     */
    static Panel of(
            Scheme scheme, Inputs inputs, List<Matrix> all, @Nullable Scales shared, int row, int rows, Device device) {
        DeviceMatrix weights = living(inputs, rows(all, row, rows), device);
        try {
            return new Panel(
                    weights,
                    shared == null
                            ? grids(scheme, weights, inputs, device)
                            : shared.on(ScaleSearch.values(scheme), row, rows, device));
        } catch (RuntimeException e) {
            weights.close();
            throw e;
        }
    }

    private static Grids grids(Scheme scheme, DeviceMatrix weights, Inputs inputs, Device device) {
        int n = inputs.inputs();
        if (scheme.blocks() == null) {
            return Grids.of(ScaleSearch.values(scheme), weights.rows(), scheme.groups(n), device);
        }
        BlockSearch search = ScaleSearch.blocks(scheme);
        Grids grids = Grids.of(search, weights.rows(), n, device);
        try (DeviceMatrix importance = device.upload(inputs.importance(), DType.F32)) {
            device.solve().search(weights, importance, search, grids).close(); // the sweep chooses codes
            return grids;
        } catch (RuntimeException e) {
            grids.close();
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
