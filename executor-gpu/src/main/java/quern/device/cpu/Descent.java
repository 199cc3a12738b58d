package quern.device.cpu;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import quern.device.Grids;
import quern.device.Grids.Multiples;
import quern.device.StoredScale;

/** Coordinate descent over the codes of one block and its scale, some rows at a time, laid out as in {@link Sweep}. */
final class Descent {
    /** Rows of a tile. */
    private static final int ROWS = 1024;
    /** Columns whose updates of the others are done in one pass. */
    private static final int TOGETHER = 8;

    private final FloatRows gradient;
    private final Grids grids;
    private final int group;
    private final HeapCodes codes;
    private final @Nullable StoredScale stored;
    private final int from;
    private final int width;
    private final float[] hessian; // width x width

    private final float[][] slope; // width x ROWS: the gradient, kept up to date
    private final float[][] level; // width x ROWS: of the codes, less their zeros
    private final float[][] change; // width x ROWS: quantized before - after
    private final float[] curve;
    private final float[] fit;
    private final float[] bend;
    private final float[] before; // the scale

    /** @param stored null where scales stay */
    Descent(
            FloatRows gradient,
            FloatRows hessian,
            int from,
            int to,
            Grids grids,
            int group,
            HeapCodes codes,
            @Nullable StoredScale stored) {
        this.gradient = gradient;
        this.grids = grids;
        this.group = group;
        this.codes = codes;
        this.stored = stored;
        this.from = from;
        width = to - from;
        this.hessian = new float[width * width];
        for (int i = 0; i < width; i++) {
            hessian.read(from + i, from, width, this.hessian, i * width);
        }
        int most = Math.min(ROWS, gradient.rows());
        slope = new float[width][most];
        level = new float[width][most];
        change = new float[width][most];
        curve = new float[most];
        fit = new float[most];
        bend = new float[most];
        before = new float[most];
    }

    /** @param grown rows x width, takes quantized before - after */
    void run(FloatRows grown) {
        for (int row = 0; row < gradient.rows(); row += ROWS) {
            int rows = Math.min(ROWS, gradient.rows() - row);
            GridTile tile = new GridTile(grids, row, rows);
            GridTile.Column grid = tile.group(group);
            load(row, rows, tile, grid);
            for (int first = 0; first < width; first += TOGETHER) {
                together(rows, first, Math.min(width, first + TOGETHER), tile, grid);
            }
            System.arraycopy(grid.scales(), 0, before, 0, rows);
            if (stored != null) {
                fit(rows);
                take(row, rows, grid.scales(), stored);
            }
            store(row, rows, tile, grid, grown);
        }
    }

    /** Columns [first, last) in turn; each sees what those before it have changed, the others see all of them at once. */
    private void together(int rows, int first, int last, GridTile tile, GridTile.Column grid) {
        for (int i = first; i < last; i++) {
            step(i, rows, tile, grid);
            for (int j = first; j < last; j++) {
                Axpy.one(change[i], hessian[i * width + j], slope[j], rows);
            }
        }
        for (int j = 0; j < width; j++) {
            if (j < first || j >= last) {
                Axpy.add(change, first, last, hessian, j * width + first, 1, slope[j], rows);
            }
        }
    }

    private void step(int i, int rows, GridTile tile, GridTile.Column grid) {
        float[] scale = grid.scales();
        float[] zero = grid.zeros();
        float[] now = level[i];
        float[] chosen = change[i];
        float inverse = 1 / hessian[i * width + i];
        for (int r = 0; r < rows; r++) {
            chosen[r] = now[r] + slope[i][r] * inverse / scale[r];
        }
        tile.round(chosen, zero, rows);
        for (int r = 0; r < rows; r++) {
            float before = now[r];
            now[r] = chosen[r];
            chosen[r] = scale[r] * (before - chosen[r]);
        }
    }

    /** Along the direction of the levels c: the slope c gradient, and the curvature c H cT. */
    private void fit(int rows) {
        Arrays.fill(curve, 0);
        Arrays.fill(fit, 0);
        for (int i = 0; i < width; i++) {
            Arrays.fill(bend, 0);
            Axpy.add(level, 0, width, hessian, i * width, 1, bend, rows);
            for (int r = 0; r < rows; r++) {
                curve[r] += level[i][r] * bend[r];
                fit[r] += level[i][r] * slope[i][r];
            }
        }
    }

    /** The best scale of the new codes, rounded to what is stored, where it is nearer to the best than what there was. */
    private void take(int row, int rows, float[] scale, StoredScale stored) {
        float[] unit = unit(row, rows);
        Multiples multiples = grids.multiples();
        for (int r = 0; r < rows; r++) {
            float fitted = curve[r] > 0 ? scale[r] + fit[r] / curve[r] : Float.NaN;
            if (Float.isFinite(fitted)) {
                float candidate = multiples == null ? stored.nearest(fitted) : multiples.nearest(fitted, unit[r]);
                if (Math.abs(candidate - fitted) < Math.abs(scale[r] - fitted)) {
                    scale[r] = candidate;
                }
            }
        }
        ((FloatRows) grids.scales()).writeColumn(group, row, rows, scale);
    }

    private float[] unit(int row, int rows) {
        float[] unit = new float[rows];
        Multiples multiples = grids.multiples();
        if (multiples != null) {
            ((FloatRows) multiples.units()).readColumn(group / multiples.groups(), row, rows, unit);
        }
        return unit;
    }

    private void load(int row, int rows, GridTile tile, GridTile.Column grid) {
        float[] line = new float[width];
        float[] zero = grid.zeros();
        for (int r = 0; r < rows; r++) {
            gradient.read(row + r, from, width, line, 0);
            int at = codes.at(row + r, from);
            for (int j = 0; j < width; j++) {
                slope[j][r] = line[j];
                level[j][r] = tile.value(codes.values()[at + j], zero[r]);
            }
        }
    }

    private void store(int row, int rows, GridTile tile, GridTile.Column grid, FloatRows grown) {
        float[] line = new float[width];
        float[] zero = grid.zeros();
        float[] after = grid.scales();
        for (int r = 0; r < rows; r++) {
            int at = codes.at(row + r, from);
            for (int j = 0; j < width; j++) {
                byte code = tile.code(level[j][r], zero[r]);
                line[j] =
                        before[r] * tile.value(codes.values()[at + j], zero[r]) - after[r] * tile.value(code, zero[r]);
                codes.values()[at + j] = code;
            }
            grown.write(row + r, 0, width, line, 0);
        }
    }
}
