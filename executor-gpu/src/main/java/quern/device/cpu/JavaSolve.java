package quern.device.cpu;

import java.util.Arrays;
import quern.device.DeviceMatrix;

/** The solve as the formulas say it. */
final class JavaSolve extends HostSolve {
    @Override
    FloatRows rows(DeviceMatrix matrix) {
        return JavaDevice.own(matrix);
    }

    @Override
    FloatRows allocate(int rows, int cols) {
        return HeapMatrix.zeros(rows, cols);
    }

    @Override
    public boolean factor(DeviceMatrix hessian) {
        HeapMatrix h = JavaDevice.own(hessian);
        int n = h.rows();
        float[] r = h.values();
        Triangles.mirrorLower(h);
        // From the last column to the first: R[i,j] R[j,j] = H[i,j] - sum over k > j of R[i,k] R[j,k].
        for (int j = n - 1; j >= 0; j--) {
            double pivot = r[j * n + j] - dot(r, j * n, j * n, j + 1, n);
            if (!(pivot > 0) || Double.isInfinite(pivot)) {
                return false;
            }
            float root = (float) Math.sqrt(pivot);
            r[j * n + j] = root;
            for (int i = 0; i < j; i++) {
                r[i * n + j] = (float) ((r[i * n + j] - dot(r, i * n, j * n, j + 1, n)) / root);
            }
        }
        Triangles.zeroLower(h);
        return true;
    }

    private static double dot(float[] values, int a, int b, int from, int to) {
        double sum = 0;
        for (int k = from; k < to; k++) {
            sum += (double) values[a + k] * values[b + k];
        }
        return sum;
    }

    @Override
    public float[] inverseDiagonal(DeviceMatrix factor) {
        HeapMatrix r = JavaDevice.own(factor);
        int n = r.rows();
        double[] sums = new double[n];
        double[] row = new double[n];
        // Row i of X = inv(R) from X R = I: X[i,j] R[j,j] = I[i,j] - sum over k in [i, j) of X[i,k] R[k,j].
        for (int i = 0; i < n; i++) {
            Arrays.fill(row, 0);
            row[i] = 1;
            for (int k = i; k < n; k++) {
                double x = row[k] / r.values()[k * n + k];
                sums[k] += x * x;
                for (int j = k + 1; j < n; j++) {
                    row[j] -= x * r.values()[k * n + j];
                }
            }
        }
        float[] result = new float[n];
        for (int j = 0; j < n; j++) {
            result[j] = (float) sums[j];
        }
        return result;
    }

    @Override
    public DeviceMatrix divide(DeviceMatrix matrix, DeviceMatrix factor) {
        float[] r = JavaDevice.own(factor).values();
        int n = factor.cols();
        HeapMatrix quotient = new HeapMatrix(JavaDevice.own(matrix).matrix().copy());
        double[] x = new double[n];
        for (int row = 0; row < matrix.rows(); row++) {
            // Y from Y RT = B, then X from X R = Y.
            for (int j = n - 1; j >= 0; j--) {
                double rest = quotient.values()[row * n + j];
                for (int k = j + 1; k < n; k++) {
                    rest -= x[k] * r[j * n + k];
                }
                x[j] = rest / r[j * n + j];
            }
            for (int k = 0; k < n; k++) {
                x[k] /= r[k * n + k];
                for (int j = k + 1; j < n; j++) {
                    x[j] -= x[k] * r[k * n + j];
                }
                quotient.values()[row * n + k] = (float) x[k];
            }
        }
        return quotient;
    }

    @Override
    void addProduct(FloatRows a, int row, int rows, FloatRows b, int first, FloatRows sum, int col) {
        HeapMatrix left = JavaDevice.own(a);
        HeapMatrix right = JavaDevice.own(b);
        HeapMatrix into = JavaDevice.own(sum);
        int count = right.cols();
        for (int r = row; r < row + rows; r++) {
            for (int k = 0; k < left.cols(); k++) {
                float factor = left.values()[r * left.cols() + k];
                Products.axpy(factor, right.values(), (first + k) * count, into.values(), r * into.cols() + col, count);
            }
        }
    }
}
