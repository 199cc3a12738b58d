package quern.device.cpu;

import java.util.Arrays;
import quern.device.SolveKernels.Grid;

/** Coordinate descent over the codes of one block, some rows at a time, laid out as in {@link Sweep}. */
final class Descent {
    private static final int ROWS = 256;
    /** Adding and subtracting it rounds a float of magnitude below 2^22 to an integer, half to even. */
    private static final float ROUND = 0x1.8p23f;

    private final FloatRows gradient;
    private final Grid grid;
    private final byte[] codes;
    private final int from;
    private final int width;
    private final float[] hessian; // width x width

    private final float[] slope; // width x ROWS: the gradient, kept up to date
    private final float[] level; // width x ROWS: code - zero
    private final float[] scale = new float[ROWS];
    private final float[] zero = new float[ROWS];
    private final float[] change = new float[ROWS];
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
        slope = new float[width * ROWS];
        level = new float[width * ROWS];
    }

    /** @return for each row the best scale of the new codes */
    float[] run() {
        float[] fitted = new float[gradient.rows()];
        for (int row = 0; row < gradient.rows(); row += ROWS) {
            int rows = Math.min(ROWS, gradient.rows() - row);
            load(row, rows);
            for (int i = 0; i < width; i++) {
                columnGrid(row, rows, grid.groupOfColumn()[i]);
                step(i, rows);
                for (int j = 0; j < width; j++) {
                    subtract(change, hessian[i * width + j], slope, j * ROWS, rows);
                }
            }
            store(row, rows);
            fit(rows);
            for (int r = 0; r < rows; r++) {
                fitted[row + r] = curve[r] > 0 ? scale[r] + fit[r] / curve[r] : Float.NaN;
            }
        }
        return fitted;
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
        int at = i * ROWS;
        for (int r = 0; r < rows; r++) {
            float best = level[at + r] + slope[at + r] * inverse / scale[r];
            float x = Math.min(Math.max(best, lowest - zero[r]), highest - zero[r]);
            float chosen = (x + ROUND) - ROUND;
            change[r] = scale[r] * (chosen - level[at + r]);
            level[at + r] = chosen;
        }
    }

    /** Along the direction of the levels c: the slope c gradient, and the curvature c H cT. */
    private void fit(int rows) {
        Arrays.fill(curve, 0);
        Arrays.fill(fit, 0);
        for (int i = 0; i < width; i++) {
            Arrays.fill(bend, 0);
            add(level, i * ROWS, hessian[i * width + i], bend, rows);
            for (int j = i + 1; j < width; j++) {
                add(level, j * ROWS, 2 * hessian[i * width + j], bend, rows);
            }
            for (int r = 0; r < rows; r++) {
                curve[r] += level[i * ROWS + r] * bend[r];
                fit[r] += level[i * ROWS + r] * slope[i * ROWS + r];
            }
        }
    }

    private void load(int row, int rows) {
        float[] line = new float[width];
        for (int r = 0; r < rows; r++) {
            gradient.read(row + r, from, width, line, 0);
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                slope[j * ROWS + r] = line[j];
                int group = grid.groupOfColumn()[j];
                level[j * ROWS + r] = (codes[at + j] & 0xff) - (grid.zeros()[(row + r) * grid.groups() + group] & 0xff);
            }
        }
    }

    private void store(int row, int rows) {
        for (int r = 0; r < rows; r++) {
            int at = (row + r) * gradient.cols() + from;
            for (int j = 0; j < width; j++) {
                int group = grid.groupOfColumn()[j];
                codes[at + j] =
                        (byte) ((int) level[j * ROWS + r] + (grid.zeros()[(row + r) * grid.groups() + group] & 0xff));
            }
        }
    }

    private static void add(float[] x, int xAt, float a, float[] y, int n) {
        for (int i = 0; i < n; i++) {
            y[i] += x[xAt + i] * a;
        }
    }

    private static void subtract(float[] x, float a, float[] y, int yAt, int n) {
        for (int i = 0; i < n; i++) {
            y[yAt + i] -= x[i] * a;
        }
    }
}
