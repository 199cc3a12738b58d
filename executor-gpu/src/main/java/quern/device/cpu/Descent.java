package quern.device.cpu;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/** Coordinate descent over the codes of one block, some rows at a time, laid out as in {@link Sweep}. */
final class Descent {
    /** Rows of a tile. */
    private static final int ROWS = 1024;
    /** Columns whose updates of the others are done in one pass. */
    private static final int TOGETHER = 8;

    private final FloatRows gradient;
    private final Grid grid;
    private final byte[] codes;
    private final int from;
    private final int width;
    private final float[] hessian; // width x width

    private final float[][] slope; // width x ROWS: the gradient, kept up to date
    private final float[][] level; // width x ROWS: of the codes, less their zeros
    private final float[][] change; // width x ROWS: quantized before - after
    private final float[] curve = new float[ROWS];
    private final float[] fit = new float[ROWS];
    private final float[] bend = new float[ROWS];

    Descent(FloatRows gradient, FloatRows hessian, int from, int to, Grid grid, byte[] codes) {
        this.gradient = gradient;
        this.grid = grid;
        this.codes = codes;
        this.from = from;
        width = to - from;
        this.hessian = new float[width * width];
        for (int i = 0; i < width; i++) {
            hessian.read(from + i, from, width, this.hessian, i * width);
        }
        slope = new float[width][ROWS];
        level = new float[width][ROWS];
        change = new float[width][ROWS];
    }

    /** @return for each row the best scale of the new codes */
    float[] run() {
        float[] fitted = new float[gradient.rows()];
        for (int row = 0; row < gradient.rows(); row += ROWS) {
            int rows = Math.min(ROWS, gradient.rows() - row);
            GridTile grids = new GridTile(grid, row, rows);
            load(row, rows, grids);
            for (int first = 0; first < width; first += TOGETHER) {
                together(rows, first, Math.min(width, first + TOGETHER), grids);
            }
            store(row, rows, grids);
            fit(rows);
            float[] scale = grids.column(0).scales();
            for (int r = 0; r < rows; r++) {
                fitted[row + r] = curve[r] > 0 ? scale[r] + fit[r] / curve[r] : Float.NaN;
            }
        }
        return fitted;
    }

    /** Columns [first, last) in turn; each sees what those before it have changed, the others see all of them at once. */
    private void together(int rows, int first, int last, GridTile grids) {
        for (int i = first; i < last; i++) {
            step(i, rows, grids);
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

    private void step(int i, int rows, GridTile grids) {
        float[] scale = grids.column(i).scales();
        float[] zero = grids.column(i).zeros();
        float[] now = level[i];
        float[] chosen = change[i];
        float inverse = 1 / hessian[i * width + i];
        for (int r = 0; r < rows; r++) {
            chosen[r] = now[r] + slope[i][r] * inverse / scale[r];
        }
        grids.round(chosen, zero, rows);
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

    private void load(int row, int rows, GridTile grids) {
        float[] line = new float[width];
        float[] zero = grids.column(0).zeros(); // the block lies in one group
        for (int r = 0; r < rows; r++) {
            gradient.read(row + r, from, width, line, 0);
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                slope[j][r] = line[j];
                level[j][r] = grids.value(codes[at + j], zero[r]);
            }
        }
    }

    private void store(int row, int rows, GridTile grids) {
        float[] zero = grids.column(0).zeros(); // the block lies in one group
        for (int r = 0; r < rows; r++) {
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                codes[at + j] = grids.code(level[j][r], zero[r]);
            }
        }
    }
}
