package quern.device;

import java.util.Arrays;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.Matrix;

/** The kernels in double precision, as their contracts say them; nothing shared with any device. */
final class Naive {
    private Naive() {}

    static double[][] of(Matrix m) {
        double[][] a = new double[m.rows()][m.cols()];
        for (int i = 0; i < m.rows(); i++) {
            for (int j = 0; j < m.cols(); j++) {
                a[i][j] = m.at(i, j);
            }
        }
        return a;
    }

    static double[][] transposed(double[][] a) {
        double[][] t = new double[a[0].length][a.length];
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < a[0].length; j++) {
                t[j][i] = a[i][j];
            }
        }
        return t;
    }

    static double[][] product(double[][] a, double[][] b) {
        double[][] c = new double[a.length][b[0].length];
        for (int i = 0; i < a.length; i++) {
            for (int j = 0; j < b[0].length; j++) {
                for (int k = 0; k < b.length; k++) {
                    c[i][j] += a[i][k] * b[k][j];
                }
            }
        }
        return c;
    }

    static double[][] rmsNorm(double[][] x, double[][] weight, int width, double eps, double offset) {
        double[][] y = new double[x.length][x[0].length];
        for (int i = 0; i < x.length; i++) {
            for (int run = 0; run < x[0].length / width; run++) {
                double mean = 0;
                for (int j = 0; j < width; j++) {
                    mean += Math.pow(x[i][run * width + j], 2) / width;
                }
                for (int j = 0; j < width; j++) {
                    double w = weight[0].length == width ? weight[0][j] : weight[0][run * width + j];
                    y[i][run * width + j] = x[i][run * width + j] / Math.sqrt(mean + eps) * (w + offset);
                }
            }
        }
        return y;
    }

    static double[][] layerNorm(double[][] x, double[][] weight, double[][] bias, int width, double eps) {
        double[][] y = new double[x.length][x[0].length];
        for (int i = 0; i < x.length; i++) {
            for (int from = 0; from < x[0].length; from += width) {
                double mean = 0;
                double squares = 0;
                for (int j = from; j < from + width; j++) {
                    mean += x[i][j] / width;
                }
                for (int j = from; j < from + width; j++) {
                    squares += (x[i][j] - mean) * (x[i][j] - mean);
                }
                for (int j = from; j < from + width; j++) {
                    int at = weight[0].length == width ? j - from : j;
                    y[i][j] = (x[i][j] - mean) / Math.sqrt(squares / width + eps) * weight[0][at] + bias[0][at];
                }
            }
        }
        return y;
    }

    static double[][] rotary(double[][] x, double[][] cos, double[][] sin, int headDim, boolean interleaved) {
        double[][] y = new double[x.length][];
        int half = cos[0].length;
        for (int t = 0; t < x.length; t++) {
            y[t] = x[t].clone();
            int p = t % cos.length;
            for (int start = 0; start < x[0].length; start += headDim) {
                for (int i = 0; i < half; i++) {
                    int a = start + (interleaved ? 2 * i : i);
                    int b = start + (interleaved ? 2 * i + 1 : i + half);
                    y[t][a] = x[t][a] * cos[p][i] - x[t][b] * sin[p][i];
                    y[t][b] = x[t][a] * sin[p][i] + x[t][b] * cos[p][i];
                }
            }
        }
        return y;
    }

    static double[][] attention(double[][] q, double[][] k, double[][] v, double[][] bias, AttentionShape s) {
        double[] none = new double[s.heads()];
        Arrays.fill(none, Double.NEGATIVE_INFINITY);
        return attention(q, k, v, bias, none, s);
    }

    static double[][] attention(
            double[][] q, double[][] k, double[][] v, double[][] bias, double[] sinks, AttentionShape s) {
        double[][] out = new double[q.length][s.heads() * s.valueDim()];
        for (int t = 0; t < q.length; t++) {
            int position = t % s.length();
            for (int h = 0; h < s.heads(); h++) {
                int kv = h * s.kvHeads() / s.heads();
                double sum = Math.exp(sinks[h]);
                double[] mixed = new double[s.valueDim()];
                for (int back = 0; back <= position && (s.window() == 0 || back < s.window()); back++) {
                    double score = 0;
                    for (int i = 0; i < s.headDim(); i++) {
                        score += q[t][h * s.headDim() + i] * k[t - back][kv * s.headDim() + i];
                    }
                    double scaled = score * s.scale();
                    double capped = s.cap() == 0 ? scaled : s.cap() * Math.tanh(scaled / s.cap());
                    double weight = Math.exp(capped + bias[h][position - back]);
                    sum += weight;
                    for (int i = 0; i < s.valueDim(); i++) {
                        mixed[i] += weight * v[t - back][kv * s.valueDim() + i];
                    }
                }
                for (int i = 0; i < s.valueDim(); i++) {
                    out[t][h * s.valueDim() + i] = mixed[i] / sum;
                }
            }
        }
        return out;
    }

    static double activation(Activation activation, double x) {
        switch (activation) {
            case SILU:
                return x / (1 + Math.exp(-x));
            case GELU_ERF:
                return x * normal(x);
            case GELU_TANH:
                return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * Math.pow(x, 3))));
            case RELU:
                return x > 0 ? x : 0;
        }
        throw new AssertionError();
    }

    /** The normal distribution's integral from minus infinity to x, by Simpson's rule from 0. */
    private static double normal(double x) {
        int steps = 2000;
        double h = x / steps;
        double sum = 0;
        for (int i = 0; i <= steps; i++) {
            double factor = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
            sum += factor * Math.exp(-(i * h) * (i * h) / 2);
        }
        return 0.5 + sum * h / 3 / Math.sqrt(2 * Math.PI);
    }

    /** Solves by Gauss-Jordan elimination with the identity. */
    static double[][] inverse(double[][] matrix) {
        int n = matrix.length;
        double[][] a = new double[n][];
        double[][] inverse = new double[n][n];
        for (int i = 0; i < n; i++) {
            a[i] = matrix[i].clone();
            inverse[i][i] = 1;
        }
        for (int p = 0; p < n; p++) {
            double pivot = a[p][p];
            for (int j = 0; j < n; j++) {
                a[p][j] /= pivot;
                inverse[p][j] /= pivot;
            }
            for (int i = 0; i < n; i++) {
                double factor = a[i][p];
                for (int j = 0; i != p && j < n; j++) {
                    a[i][j] -= factor * a[p][j];
                    inverse[i][j] -= factor * inverse[p][j];
                }
            }
        }
        return inverse;
    }
}
