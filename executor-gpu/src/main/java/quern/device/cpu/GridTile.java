package quern.device.cpu;

import java.util.HashMap;
import java.util.Map;
import quern.device.SolveKernels.Grid;
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

    private final Grid grid;
    private final int row;
    private final int rows;
    private final Map<Integer, Column> ofGroup = new HashMap<>();

    GridTile(Grid grid, int row, int rows) {
        this.grid = grid;
        this.row = row;
        this.rows = rows;
    }

    /** The nearest values of the grid, before they are scaled and less their zeros; in place. */
    void round(float[] x, float[] zeros, int rows) {
        StepFunction levels = grid.levels();
        if (levels != null) {
            levels.round(x, rows);
            return;
        }
        float lowest = grid.lowest();
        float highest = grid.highest();
        for (int r = 0; r < rows; r++) {
            // Clamped before it is rounded: the same code, and always in the range where ROUND is exact.
            float clamped = Math.min(Math.max(x[r], lowest - zeros[r]), highest - zeros[r]);
            float fraction = zeros[r] - ((zeros[r] + ROUND) - ROUND); // 0 but where zeros are no whole numbers
            x[r] = (clamped + fraction + ROUND) - ROUND - fraction;
        }
    }

    /** The code of a value that was {@link #round rounded}. */
    byte code(float value, float zero) {
        StepFunction levels = grid.levels();
        return (byte) (levels == null ? (int) (value + zero + ROUND - ROUND) : levels.place(value));
    }

    /** The other way round. */
    float value(byte code, float zero) {
        StepFunction levels = grid.levels();
        return levels == null ? (code & 0xff) - zero : levels.values()[code & 0xff];
    }

    /** The grid of a column of the block. */
    Column column(int i) {
        return ofGroup.computeIfAbsent(grid.groupOfColumn()[i], this::group);
    }

    private Column group(int group) {
        float[] scales = new float[rows];
        float[] zeros = new float[rows];
        for (int r = 0; r < rows; r++) {
            int at = (row + r) * grid.groups() + group;
            scales[r] = grid.scales()[at];
            zeros[r] = grid.zeros()[at];
        }
        return new Column(scales, zeros);
    }
}
