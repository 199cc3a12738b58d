package quern.method;

import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.SolveKernels.Grid;
import quern.scheme.LevelGrid;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * Some rows of a weight while they are quantized; columns in the order of groups.
 *
 * @param weights rows x n
 * @param codes rows x n
 * @param scales rows x groups
 */
record Panel(Scheme scheme, Columns columns, Matrix weights, byte[] codes, Scales scales) {
    /** Rows [row, row + rows) of a weight, without its dead columns. */
    static Panel of(Scheme scheme, Columns columns, Matrix weight, int row, int rows, boolean[] dead) {
        int n = weight.cols();
        Matrix values = Matrix.zeros(rows, n);
        for (int r = 0; r < rows; r++) {
            for (int i = 0; i < n; i++) {
                int column = columns.natural()[i];
                values.values()[r * n + i] = dead[column] ? 0 : weight.at(row + r, column);
            }
        }
        return new Panel(scheme, columns, values, new byte[rows * n], Scales.of(rows, scheme, n));
    }

    int rows() {
        return weights.rows();
    }

    int n() {
        return weights.cols();
    }

    /** The weights in the order of the sweep, rows x n. */
    Matrix sweepOrder() {
        Matrix ordered = Matrix.zeros(rows(), n());
        for (int r = 0; r < rows(); r++) {
            for (int i = 0; i < n(); i++) {
                ordered.values()[r * n() + i] = weights.at(r, columns.sweep()[i]);
            }
        }
        return ordered;
    }

    /** Takes codes in the order of the sweep. */
    void takeSwept(byte[] swept) {
        for (int r = 0; r < rows(); r++) {
            for (int i = 0; i < n(); i++) {
                codes[r * n() + columns.sweep()[i]] = swept[r * n() + i];
            }
        }
    }

    /** The grid of columns whose groups are given. */
    Grid grid(int[] groupOfColumn) {
        return new Grid(
                scheme.grid() instanceof LevelGrid levels ? levels.steps() : null,
                scheme.lowestCode(),
                scheme.highestCode(),
                groupOfColumn,
                scales.groups(),
                scales.scales(),
                scales.zeros());
    }

    /** What the codes of columns [from, to) stand for, rows x (to - from). */
    Matrix quantized(int from, int to) {
        Matrix values = Matrix.zeros(rows(), to - from);
        for (int r = 0; r < rows(); r++) {
            for (int i = from, end; i < to; i = end) { // a run of columns with one grid
                int group = i / columns.length();
                end = Math.min(to, (group + 1) * columns.length());
                int g = r * scales.groups() + group;
                dequantize(r * n() + i, end - i, g, values.values(), r * (to - from) + i - from);
            }
        }
        return values;
    }

    private void dequantize(int at, int count, int g, float[] into, int intoAt) {
        float scale = scales.scales()[g];
        float zero = scales.zeros()[g];
        float[] values = scheme.grid().levels();
        for (int i = 0; i < count; i++) {
            into[intoAt + i] = scale * (values[codes[at + i] & 0xff] - zero);
        }
    }

    /** weights - quantized, rows x n. */
    Matrix error() {
        Matrix e = quantized(0, n());
        for (int i = 0; i < e.values().length; i++) {
            e.values()[i] = weights.values()[i] - e.values()[i];
        }
        return e;
    }

    /** tr(E H ET) for E in the order of groups and H without its damping. */
    static double loss(Matrix e, DampedHessian h, Device device) {
        try (DeviceMatrix error = device.upload(e, DType.F32);
                DeviceMatrix product = device.zeros(e.rows(), e.cols(), DType.F32)) {
            device.solve().addProduct(error, h.hessian(), 0, e.cols(), product);
            float[] eh = device.download(product).values(); // rows x n
            double sum = 0;
            for (int i = 0; i < eh.length; i++) {
                double value = e.values()[i];
                sum += value * eh[i] - h.lambda() * value * value;
            }
            return Math.max(0, sum);
        }
    }
}
