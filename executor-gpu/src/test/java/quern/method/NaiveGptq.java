package quern.method;

import java.util.Arrays;

/** The paper's algorithm as it stands there: double precision, the Cholesky factor of inv(H), one column at a time. */
final class NaiveGptq {
    final int[][] codes; // rows x n, in the order of the sweep
    double loss; // with the damped Hessian

    /**
     * @param weight rows x n in the order of the sweep
     * @param hessian n x n in the order of the sweep, damped
     * @param scale rows x n
     * @param zero rows x n
     */
    NaiveGptq(double[][] weight, double[][] hessian, double[][] scale, int[][] zero, int lowest, int highest) {
        int n = hessian.length;
        double[][] u = upper(inverse(hessian));
        codes = new int[weight.length][n];
        for (int r = 0; r < weight.length; r++) {
            double[] w = weight[r].clone();
            for (int i = 0; i < n; i++) {
                double level = Math.rint(w[i] / scale[r][i]);
                codes[r][i] = (int) Math.max(lowest, Math.min(highest, level + zero[r][i]));
                double e = (w[i] - scale[r][i] * (codes[r][i] - zero[r][i])) / u[i][i];
                loss += e * e;
                for (int j = i; j < n; j++) {
                    w[j] -= e * u[i][j];
                }
            }
        }
    }

    /**
     * Each code in turn is replaced by the one, of all, with which the loss of its row is smallest; so often over all of them.
     *
     * @param weight rows x n
     * @param hessian n x n, damped
     * @param codes rows x n, replaced
     * @param scale rows x n
     * @param zero rows x n
     */
    static void descend(
            double[][] weight,
            double[][] hessian,
            int[][] codes,
            double[][] scale,
            int[][] zero,
            int highest,
            int times) {
        for (int r = 0; r < weight.length; r++) {
            for (int i = 0; i < times * weight[r].length; i++) {
                int column = i % weight[r].length;
                int best = 0;
                double least = Double.POSITIVE_INFINITY;
                for (int code = 0; code <= highest; code++) {
                    codes[r][column] = code;
                    double[] e = new double[weight[r].length];
                    for (int j = 0; j < e.length; j++) {
                        e[j] = weight[r][j] - scale[r][j] * (codes[r][j] - zero[r][j]);
                    }
                    double loss = 0;
                    for (int j = 0; j < e.length; j++) {
                        loss += e[column] * e[j] * hessian[column][j] * (j == column ? 1 : 2);
                    }
                    best = loss < least ? code : best;
                    least = Math.min(loss, least);
                }
                codes[r][column] = best;
            }
        }
    }

    /** U with A = UT U. */
    static double[][] upper(double[][] a) {
        int n = a.length;
        double[][] u = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = i; j < n; j++) {
                double sum = a[i][j];
                for (int k = 0; k < i; k++) {
                    sum -= u[k][i] * u[k][j];
                }
                u[i][j] = i == j ? Math.sqrt(sum) : sum / u[i][i];
            }
        }
        return u;
    }

    /** By Gauss and Jordan, with the largest pivot of each column. */
    static double[][] inverse(double[][] a) {
        int n = a.length;
        double[][] work = new double[n][2 * n];
        for (int i = 0; i < n; i++) {
            System.arraycopy(a[i], 0, work[i], 0, n);
            work[i][n + i] = 1;
        }
        for (int c = 0; c < n; c++) {
            int pivot = c;
            for (int r = c + 1; r < n; r++) {
                if (Math.abs(work[r][c]) > Math.abs(work[pivot][c])) {
                    pivot = r;
                }
            }
            double[] swapped = work[c];
            work[c] = work[pivot];
            work[pivot] = swapped;
            double d = work[c][c];
            for (int j = 0; j < 2 * n; j++) {
                work[c][j] /= d;
            }
            for (int r = 0; r < n; r++) {
                double f = work[r][c];
                for (int j = 0; r != c && j < 2 * n; j++) {
                    work[r][j] -= f * work[c][j];
                }
            }
        }
        return Arrays.stream(work).map(row -> Arrays.copyOfRange(row, n, 2 * n)).toArray(double[][]::new);
    }
}
