package quern.device.cpu;

import java.util.HashMap;
import java.util.Map;
import quern.device.SolveKernels.Grid;

/** The grids of a tile's rows by columns: scale and zero of a group for all rows, laid out once for all columns of the group. */
final class GridTile {
    /**
     * @param scales rows
     * @param zeros rows
     */
    record Column(float[] scales, float[] zeros) {}

    private final Grid grid;
    private final int row;
    private final int rows;
    private final Map<Integer, Column> ofGroup = new HashMap<>();

    GridTile(Grid grid, int row, int rows) {
        this.grid = grid;
        this.row = row;
        this.rows = rows;
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
            zeros[r] = grid.zeros()[at] & 0xff;
        }
        return new Column(scales, zeros);
    }
}
