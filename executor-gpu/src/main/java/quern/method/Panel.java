package quern.method;

import java.util.Arrays;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.scheme.QuantizedLinear.Units;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Some rows of a weight on the device while they are quantized; columns in the order of groups.
 *
 * @param weights rows x n, F32, zero in dead columns
 * @param grids of the groups
 * @param units what scales are multiples of, where the scheme has nested blocks
 */
record Panel(DeviceMatrix weights, Grids grids, Units units) implements AutoCloseable {
    /**
     * Rows [row, row + rows) of a weight. Their grids are to be chosen, but where the scheme has blocks: the search of these is a
     * format's own and not a device's, so it runs here.
     *
     * @param importance n, in the order of groups
     */
    static Panel of(
            Scheme scheme,
            Columns columns,
            Matrix weight,
            int row,
            int rows,
            boolean[] dead,
            float[] importance,
            Device device) {
        int n = weight.cols();
        DeviceMatrix weights = living(columns, rows(weight, row, rows), dead, device);
        try {
            if (scheme.blocks() == null) {
                Grids open = Grids.of(ScaleSearch.values(scheme), rows, scheme.groups(n), device);
                return new Panel(weights, open, Units.NONE);
            }
            Scales chosen = Scales.of(rows, scheme, n);
            new BlockSearch(scheme)
                    .choose(device.download(weights).values(), n, importance, chosen, new byte[rows * n]);
            return new Panel(weights, chosen.upload(scheme, device), chosen.units());
        } catch (RuntimeException e) {
            weights.close();
            throw e;
        }
    }

    private static Matrix rows(Matrix weight, int row, int rows) {
        int n = weight.cols();
        return rows == weight.rows()
                ? weight
                : new Matrix(rows, n, Arrays.copyOfRange(weight.values(), row * n, (row + rows) * n));
    }

    private static DeviceMatrix living(Columns columns, Matrix natural, boolean[] dead, Device device) {
        int[] order = columns.natural().clone();
        for (int i = 0; i < order.length; i++) {
            order[i] = dead[order[i]] ? -1 : order[i];
        }
        try (DeviceMatrix uploaded = device.upload(natural, DType.F32)) {
            return device.solve().columns(uploaded, order);
        }
    }

    @Override
    public void close() {
        weights.close();
        grids.close();
    }
}
