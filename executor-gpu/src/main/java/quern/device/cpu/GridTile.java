package quern.device.cpu;

import java.util.HashMap;
import java.util.Map;
import quern.device.CodeValues;
import quern.device.Grids;
import quern.tensor.StepFunction;

/** The grids of a tile's rows by columns: scale and zero of a group for all rows, laid out once for all columns of the group. */
final class GridTile {
    /**
     * @param scales rows
     * @param zeros rows
     */
    record Column(float[] scales, float[] zeros) {}

    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private final CodeValues values;
    private final FloatRows scales;
    private final FloatRows zeros;
    private final int row;
    private final int rows;
    private final Map<Integer, Column> ofGroup = new HashMap<>();

    /** @param grids of the same device as whoever asks */
    GridTile(Grids grids, int row, int rows) {
        values = grids.values();
        scales = (FloatRows) grids.scales();
        zeros = (FloatRows) grids.zeros();
        this.row = row;
        this.rows = rows;
    }

    /** The nearest values of the grid, before they are scaled and less their zeros; in place. */
    void round(float[] x, float[] zeros, int rows) {
        StepFunction levels = values.levels();
        if (levels != null) {
            levels.round(x, rows);
            return;
        }
        float lowest = values.lowest();
        float highest = values.highest();
        for (int r = 0; r < rows; r++) {
            // Clamped before it is rounded: the same code, and always in the range where ROUND is exact.
            float clamped = Math.min(Math.max(x[r], lowest - zeros[r]), highest - zeros[r]);
            float fraction = zeros[r] - ((zeros[r] + ROUND) - ROUND); // 0 but where zeros are no whole numbers
            x[r] = (clamped + fraction + ROUND) - ROUND - fraction;
        }
    }

    /** The code of a value that was {@link #round rounded}. */
    byte code(float value, float zero) {
        StepFunction levels = values.levels();
        return (byte) (levels == null ? (int) (value + zero + ROUND - ROUND) : levels.place(value));
    }

    /** The other way round. */
    float value(byte code, float zero) {
        StepFunction levels = values.levels();
        return levels == null ? (code & 0xff) - zero : levels.values()[code & 0xff];
    }

    /** The grid of a group. */
    Column group(int group) {
        return ofGroup.computeIfAbsent(group, this::read);
    }

    private Column read(int group) {
        float[] scale = new float[rows];
        float[] zero = new float[rows];
        scales.readColumn(group, row, rows, scale);
        zeros.readColumn(group, row, rows, zero);
        return new Column(scale, zero);
    }
}
