package quern.device.cpu;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/** Coordinate descent over the codes of one block, some rows at a time, laid out as in {@link Sweep}. */
final class Descent {
    /** Rows of a tile. */
    private static final int ROWS = 256;
    /** Between columns of a tile: not a power of two, or all columns would share a few lines of the cache. */
    private static final int STRIDE = ROWS + 16;
    /** Columns whose updates of the others are done in one pass. */
    private static final int TOGETHER = 8;
    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

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
                add(change, i * STRIDE, hessian[i * width + j], slope, j * STRIDE, rows);
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

    /** y += sum over columns k of [first, last) of x[k] * a[aAt + k]; eight at once read and write y once. */
    private static void addAll(float[] x, int first, int last, float[] a, int aAt, float[] y, int yAt, int n) {
        if (last - first < TOGETHER) {
            for (int k = first; k < last; k++) {
                add(x, k * STRIDE, a[aAt + k], y, yAt, n);
            }
            return;
        }
        int at = first * STRIDE;
        int by = aAt + first;
        float a0 = a[by];
        float a1 = a[by + 1];
        float a2 = a[by + 2];
        float a3 = a[by + 3];
        float a4 = a[by + 4];
        float a5 = a[by + 5];
        float a6 = a[by + 6];
        float a7 = a[by + 7];
        for (int i = 0; i < n; i++) {
            float sum = y[yAt + i];
            sum += x[at + i] * a0;
            sum += x[at + STRIDE + i] * a1;
            sum += x[at + 2 * STRIDE + i] * a2;
            sum += x[at + 3 * STRIDE + i] * a3;
            sum += x[at + 4 * STRIDE + i] * a4;
            sum += x[at + 5 * STRIDE + i] * a5;
            sum += x[at + 6 * STRIDE + i] * a6;
            sum += x[at + 7 * STRIDE + i] * a7;
            y[yAt + i] = sum;
        }
    }

    private static void add(float[] x, int xAt, float a, float[] y, int yAt, int n) {
        for (int i = 0; i < n; i++) {
            y[yAt + i] += x[xAt + i] * a;
        }
    }
}
