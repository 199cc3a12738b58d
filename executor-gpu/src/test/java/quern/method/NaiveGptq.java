package quern.method;

import java.util.Arrays;
import java.util.stream.IntStream;
import quern.scheme.QuantizedLinear;
import quern.tensor.Matrix;

/**
 * The paper's algorithm as it stands there: double precision, the Cholesky factor of inv(H), one column at a time.
 *
 * @param weight rows x n, columns in some order, as everywhere here
 * @param hessian n x n, damped
 * @param scale rows x n, of each weight's group
 * @param zero rows x n
 * @param highest code
 */
record NaiveGptq(double[][] weight, double[][] hessian, double[][] scale, int[][] zero, int highest) {
    /** @param loss with the damped Hessian */
    record Swept(int[][] codes, double loss) {}

    /** With the scales and zero points that a linear was given. */
    static NaiveGptq of(Matrix weight, Hessian h, double damping, QuantizedLinear q, int[] columns) {
        int n = weight.cols();
        double[][] w = new double[weight.rows()][n];
        double[][] scale = new double[weight.rows()][n];
        int[][] zero = new int[weight.rows()][n];
        for (int r = 0; r < weight.rows(); r++) {
            for (int i = 0; i < n; i++) {
                w[r][i] = weight.at(r, columns[i]);
                int g = r * q.groups() + q.groupOfColumn()[columns[i]];
                scale[r][i] = q.scales()[g];
                zero[r][i] = (int) q.zeros()[g];
            }
        }
        return new NaiveGptq(
                w, damped(h, damping, columns), scale, zero, q.scheme().highestCode());
    }

    private static double[][] damped(Hessian h, double damping, int[] columns) {
        int n = columns.length;
        double[][] hessian = new double[n][n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                hessian[i][j] = h.sum().at(columns[i], columns[j]) / (double) h.tokens();
            }
            hessian[i][i] += damping;
        }
        return hessian;
    }

    /** Codes column by column, each column's error spread over those behind it. */
    Swept sweep() {
        int n = hessian.length;
        double[][] u = upper(inverse(hessian));
        int[][] codes = new int[weight.length][n];
        double loss = 0;
        for (int r = 0; r < weight.length; r++) {
            double[] w = weight[r].clone();
            for (int i = 0; i < n; i++) {
                double level = Math.rint(w[i] / scale[r][i]);
                codes[r][i] = (int) Math.max(0, Math.min(highest, level + zero[r][i]));
                double e = (w[i] - scale[r][i] * (codes[r][i] - zero[r][i])) / u[i][i];
                loss += e * e;
                for (int j = i; j < n; j++) {
                    w[j] -= e * u[i][j];
                }
            }
        }
        return new Swept(codes, loss);
    }

    /**
     * Each code in turn is replaced by the one, of all, with which the loss of its row is smallest; so often over all of them.
     *
     * @param codes rows x n, replaced
     */
    void descend(int[][] codes, int times) {
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

    /**
     * The scales that the published program finds on the way: of a group's weights as they are where its first column's block of 128 columns
     * begins, with the errors of all blocks before that. Symmetric codes 0 to maxq, by the largest weight.
     *
     * @return rows x groups
     */
    static double[][] classicScales(Matrix weight, Hessian h, double damping, int group, int maxq) {
        int n = weight.cols();
        double[][] u = upper(inverse(damped(h, damping, IntStream.range(0, n).toArray())));
        double[][] scales = new double[weight.rows()][n / group];
        for (int r = 0; r < weight.rows(); r++) {
            double[] w = new double[n];
            for (int i = 0; i < n; i++) {
                w[i] = weight.at(r, i);
            }
            for (int from = 0; from < n; from += 128) {
                double[] block = Arrays.copyOfRange(w, from, from + 128);
                double[] error = new double[128];
                for (int i = 0; i < 128; i++) {
                    int g = (from + i) / group;
                    if ((from + i) % group == 0) {
                        double most = 0;
                        for (int k = from + i; k < from + i + group; k++) {
                            most = Math.max(most, Math.abs(w[k]));
                        }
                        scales[r][g] = 2 * most / maxq;
                    }
                    double zero = (maxq + 1) / 2;
                    double code = Math.max(0, Math.min(maxq, Math.rint(block[i] / scales[r][g]) + zero));
                    error[i] = (block[i] - scales[r][g] * (code - zero)) / u[from + i][from + i];
                    for (int k = i; k < 128; k++) {
                        block[k] -= error[i] * u[from + i][from + k];
                    }
                }
                for (int k = from + 128; k < n; k++) {
                    for (int i = 0; i < 128; i++) {
                        w[k] -= error[i] * u[from + i][k];
                    }
                }
            }
        }
        return scales;
    }

    /** U with A = UT U. */
    private static double[][] upper(double[][] a) {
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
    private static double[][] inverse(double[][] a) {
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
