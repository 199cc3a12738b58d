package quern.method;

import java.util.Random;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Weights and Hessians like those of a layer: correlated inputs, a few of them large. */
final class Samples {
    private Samples() {}

    static Matrix weight(int rows, int cols, Random random) {
        Matrix w = Matrix.zeros(rows, cols);
        for (int i = 0; i < w.values().length; i++) {
            w.values()[i] = (float) (0.05 * random.nextGaussian());
        }
        return w;
    }

    static Hessian hessian(int n, int tokens, Random random) {
        double[] size = new double[n];
        for (int i = 0; i < n; i++) {
            size[i] = Math.exp(random.nextGaussian());
        }
        double[][] sum = new double[n][n];
        double[] x = new double[n];
        double common = 0;
        for (int t = 0; t < tokens; t++) {
            for (int i = 0; i < n; i++) {
                common = 0.9 * common + random.nextGaussian();
                x[i] = size[i] * (common + 0.5 * random.nextGaussian());
            }
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    sum[i][j] += x[i] * x[j];
                }
            }
        }
        return new Hessian(matrix(sum), tokens);
    }

    static Matrix matrix(double[][] values) {
        Matrix m = Matrix.zeros(values.length, values[0].length);
        for (int i = 0; i < values.length; i++) {
            for (int j = 0; j < values[0].length; j++) {
                m.values()[i * m.cols() + j] = (float) values[i][j];
            }
        }
        return m;
    }

    static Scheme scheme(int bits, int group, boolean symmetric, ColumnOrder order) {
        return new Scheme(bits, group, symmetric, false, order, DType.F16);
    }

    static Recipe recipe(Scheme scheme, ScaleRule rule) {
        return Recipe.DEFAULT
                .edit()
                .bits(scheme.bits())
                .groupSize(scheme.groupSize())
                .symmetric(scheme.symmetric())
                .ternary(scheme.grid() instanceof IntegerGrid grid && grid.ternary())
                .actOrder(scheme.order())
                .scales(rule)
                .percdamp(0.01)
                .recipe();
    }

    /** tr(E H ET) / tokens in double precision. */
    static double loss(Matrix weight, Matrix quantized, Hessian h) {
        int n = weight.cols();
        double loss = 0;
        for (int r = 0; r < weight.rows(); r++) {
            for (int i = 0; i < n; i++) {
                double sum = 0;
                for (int j = 0; j < n; j++) {
                    sum += ((double) weight.at(r, j) - quantized.at(r, j))
                            * h.sum().at(i, j);
                }
                loss += sum * ((double) weight.at(r, i) - quantized.at(r, i));
            }
        }
        return loss / h.tokens();
    }
}
