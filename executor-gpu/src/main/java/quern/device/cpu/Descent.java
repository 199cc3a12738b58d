package quern.device.cpu;

import static quern.device.cpu.TileColumns.ROUND;
import static quern.device.cpu.TileColumns.ROWS;
import static quern.device.cpu.TileColumns.STRIDE;
import static quern.device.cpu.TileColumns.TOGETHER;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/** Coordinate descent over the codes of one block, some rows at a time, laid out as {@link TileColumns}. */
final class Descent {
    private final FloatRows gradient;
    private final Grid grid;
    private final byte[] codes;
    private final int from;
    private final int width;
    private final float[] hessian; // width x width

    private final float[] slope; // width x STRIDE: the gradient, kept up to date
    private final float[] level; // width x STRIDE: code - zero
    private final float[] scale = new float[ROWS];
    private final float[] zero = new float[ROWS];
    private final float[] change; // width x STRIDE: quantized before - after
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
        slope = new float[width * STRIDE];
        level = new float[width * STRIDE];
        change = new float[width * STRIDE];
    }

    /** @return for each row the best scale of the new codes */
    float[] run() {
        float[] fitted = new float[gradient.rows()];
        for (int row = 0; row < gradient.rows(); row += ROWS) {
            int rows = Math.min(ROWS, gradient.rows() - row);
            load(row, rows);
            for (int first = 0; first < width; first += TOGETHER) {
                together(row, rows, first, Math.min(width, first + TOGETHER));
            }
            store(row, rows);
            fit(rows);
            for (int r = 0; r < rows; r++) {
                fitted[row + r] = curve[r] > 0 ? scale[r] + fit[r] / curve[r] : Float.NaN;
            }
        }
        return fitted;
    }

    /** Columns [first, last) in turn; each sees what those before it have changed, the others see all of them at once. */
    private void together(int row, int rows, int first, int last) {
        for (int i = first; i < last; i++) {
            columnGrid(row, rows, grid.groupOfColumn()[i]);
            step(i, rows);
            for (int j = first; j < last; j++) {
                TileColumns.add(change, i * STRIDE, hessian[i * width + j], slope, j * STRIDE, rows);
            }
        }
        for (int j = 0; j < width; j++) {
            if (j < first || j >= last) {
                addAll(change, first, last, hessian, j * width, slope, j * STRIDE, rows);
            }
        }
    }

    private void columnGrid(int row, int rows, int group) {
        for (int r = 0; r < rows; r++) {
            int at = (row + r) * grid.groups() + group;
            scale[r] = grid.scales()[at];
            zero[r] = grid.zeros()[at] & 0xff;
        }
    }

    private void step(int i, int rows) {
        float lowest = grid.lowest();
        float highest = grid.highest();
        float inverse = 1 / hessian[i * width + i];
        int at = i * STRIDE;
        for (int r = 0; r < rows; r++) {
            float best = level[at + r] + slope[at + r] * inverse / scale[r];
            float x = Math.min(Math.max(best, lowest - zero[r]), highest - zero[r]);
            float chosen = (x + ROUND) - ROUND;
            change[at + r] = scale[r] * (level[at + r] - chosen);
            level[at + r] = chosen;
        }
    }

    /** Along the direction of the levels c: the slope c gradient, and the curvature c H cT. */
    private void fit(int rows) {
        Arrays.fill(curve, 0);
        Arrays.fill(fit, 0);
        for (int i = 0; i < width; i++) {
            Arrays.fill(bend, 0);
            for (int first = 0; first < width; first += TOGETHER) {
                addAll(level, first, Math.min(width, first + TOGETHER), hessian, i * width, bend, 0, rows);
            }
            for (int r = 0; r < rows; r++) {
                curve[r] += level[i * STRIDE + r] * bend[r];
                fit[r] += level[i * STRIDE + r] * slope[i * STRIDE + r];
            }
        }
    }

    private void load(int row, int rows) {
        float[] line = new float[width];
        for (int r = 0; r < rows; r++) {
            gradient.read(row + r, from, width, line, 0);
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                slope[j * STRIDE + r] = line[j];
                int group = grid.groupOfColumn()[j];
                level[j * STRIDE + r] =
                        (codes[at + j] & 0xff) - (grid.zeros()[(row + r) * grid.groups() + group] & 0xff);
            }
        }
    }

    private void store(int row, int rows) {
        for (int r = 0; r < rows; r++) {
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                int group = grid.groupOfColumn()[j];
                codes[at + j] =
                        (byte) ((int) level[j * STRIDE + r] + (grid.zeros()[(row + r) * grid.groups() + group] & 0xff));
            }
        }
    }

    /** y += sum over columns k of [first, last) of x[k] * a[aAt + k]. */
    private static void addAll(float[] x, int first, int last, float[] a, int aAt, float[] y, int yAt, int n) {
        if (last - first == TOGETHER) {
            TileColumns.addAll(x, first * STRIDE, a, aAt + first, 1, y, yAt, n);
            return;
        }
        for (int k = first; k < last; k++) {
            TileColumns.add(x, k * STRIDE, a[aAt + k], y, yAt, n);
        }
    }
}
