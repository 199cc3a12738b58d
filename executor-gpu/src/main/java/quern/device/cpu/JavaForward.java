package quern.device.cpu;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The forward pass as the formulas say it. */
final class JavaForward implements ForwardKernels {
    /** Transposed, inputs x outputs, so that a product runs along a row. */
    @Override
    public DeviceMatrix prepare(DeviceMatrix weight) {
        HeapMatrix w = JavaDevice.own(weight);
        float[] t = new float[w.values().length];
        for (int o = 0; o < w.rows(); o++) {
            for (int i = 0; i < w.cols(); i++) {
                t[i * w.rows() + o] = w.values()[o * w.cols() + i];
            }
        }
        return new Prepared(w.rows(), w.cols(), t);
    }

    private record Prepared(int rows, int cols, float[] transposed) implements DeviceMatrix {
        @Override
        public DType dtype() {
            return DType.F32;
        }

        @Override
        public void close() {
            // The garbage collector's.
        }
    }

    @Override
    public DeviceMatrix linear(DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, DType to) {
        JavaDevice.checked(to);
        HeapMatrix in = JavaDevice.own(x);
        if (!(weight instanceof Prepared)) {
            throw new IllegalArgumentException("The weight of linear() comes from prepare() of the same device");
        }
        Prepared w = (Prepared) weight;
        HeapMatrix result = HeapMatrix.zeros(in.rows(), w.rows());
        for (int row = 0; row < in.rows(); row++) {
            for (int i = 0; i < in.cols(); i++) {
                float value = in.values()[row * in.cols() + i];
                Products.axpy(value, w.transposed(), i * w.rows(), result.values(), row * w.rows(), w.rows());
            }
            if (bias != null) {
                Products.axpy(1, JavaDevice.own(bias).values(), 0, result.values(), row * w.rows(), w.rows());
            }
        }
        return result;
    }

    @Override
    public DeviceMatrix rmsNorm(DeviceMatrix x, DeviceMatrix weight, int width, float eps, float offset, DType to) {
        JavaDevice.checked(to);
        HeapMatrix in = JavaDevice.own(x);
        float[] w = JavaDevice.own(weight).values();
        HeapMatrix result = HeapMatrix.zeros(in.rows(), in.cols());
        for (int at = 0; at < in.values().length; at += width) {
            double squares = 0;
            for (int i = 0; i < width; i++) {
                squares += (double) in.values()[at + i] * in.values()[at + i];
            }
            float inverse = (float) (1 / Math.sqrt(squares / width + eps));
            int weightAt = at % w.length;
            for (int i = 0; i < width; i++) {
                result.values()[at + i] = in.values()[at + i] * inverse * (w[weightAt + i] + offset);
            }
        }
        return result;
    }

    @Override
    public DeviceMatrix layerNorm(
            DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, int width, float eps, DType to) {
        JavaDevice.checked(to);
        HeapMatrix in = JavaDevice.own(x);
        float[] w = JavaDevice.own(weight).values();
        float[] b = bias == null ? new float[w.length] : JavaDevice.own(bias).values();
        HeapMatrix result = HeapMatrix.zeros(in.rows(), in.cols());
        for (int at = 0; at < in.values().length; at += width) {
            double mean = 0;
            for (int i = 0; i < width; i++) {
                mean += in.values()[at + i] / (double) width;
            }
            double variance = 0;
            for (int i = 0; i < width; i++) {
                double d = in.values()[at + i] - mean;
                variance += d * d / width;
            }
            double inverse = 1 / Math.sqrt(variance + eps);
            int weightAt = at % w.length;
            for (int i = 0; i < width; i++) {
                double unit = (in.values()[at + i] - mean) * inverse;
                result.values()[at + i] = (float) (unit * w[weightAt + i] + b[weightAt + i]);
            }
        }
        return result;
    }

    @Override
    public DeviceMatrix rotary(
            DeviceMatrix x, DeviceMatrix cos, DeviceMatrix sin, int headDim, boolean interleaved, DType to) {
        JavaDevice.checked(to);
        HeapMatrix in = JavaDevice.own(x);
        HeapMatrix result = new HeapMatrix(Matrix.zeros(in.rows(), in.cols()));
        Rope rope = new Rope(JavaDevice.own(cos).matrix(), JavaDevice.own(sin).matrix(), headDim, interleaved);
        float[] partners = new float[headDim];
        for (int row = 0; row < in.rows(); row++) {
            rope.turn(in.values(), row * in.cols(), in.cols() / headDim, row % cos.rows(), partners, result.values());
        }
        return result;
    }

    @Override
    public DeviceMatrix attention(
            DeviceMatrix q,
            DeviceMatrix k,
            DeviceMatrix v,
            @Nullable DeviceMatrix bias,
            @Nullable DeviceMatrix sinks,
            AttentionShape shape,
            DType to) {
        JavaDevice.checked(to);
        float[] sunk = new float[shape.heads()];
        Arrays.fill(sunk, Float.NEGATIVE_INFINITY);
        if (sinks != null) {
            System.arraycopy(JavaDevice.own(sinks).values(), 0, sunk, 0, sunk.length);
        }
        float[] added = bias == null
                ? new float[shape.heads() * shape.length()]
                : JavaDevice.own(bias).values();
        HeapMatrix result = HeapMatrix.zeros(q.rows(), shape.heads() * shape.valueDim());
        double[] weights = new double[shape.length()];
        for (int row = 0; row < q.rows(); row++) {
            for (int head = 0; head < shape.heads(); head++) {
                attend(
                        JavaDevice.own(q),
                        JavaDevice.own(k),
                        JavaDevice.own(v),
                        added,
                        sunk[head],
                        shape,
                        row,
                        head,
                        weights,
                        result);
            }
        }
        return result;
    }

    private static void attend(
            HeapMatrix q,
            HeapMatrix k,
            HeapMatrix v,
            float[] bias, // heads x length
            float sink,
            AttentionShape shape,
            int row,
            int head,
            double[] weights,
            HeapMatrix result) {
        int position = row % shape.length();
        int keys = shape.window() == 0 ? position + 1 : Math.min(position + 1, shape.window());
        int firstRow = row - keys + 1;
        int kvHead = head / (shape.heads() / shape.kvHeads());
        int d = shape.headDim();
        double highest = sink;
        for (int i = 0; i < keys; i++) {
            double score = 0;
            for (int j = 0; j < d; j++) {
                score += (double) q.values()[row * q.cols() + head * d + j]
                        * k.values()[(firstRow + i) * k.cols() + kvHead * d + j];
            }
            double scaled = score * shape.scale();
            double capped = shape.cap() == 0 ? scaled : shape.cap() * StrictMath.tanh(scaled / shape.cap());
            weights[i] = capped + bias[head * shape.length() + position - keys + 1 + i];
            highest = Math.max(highest, weights[i]);
        }
        double sum = StrictMath.exp(sink - highest);
        for (int i = 0; i < keys; i++) {
            weights[i] = StrictMath.exp(weights[i] - highest);
            sum += weights[i];
        }
        int dv = shape.valueDim();
        for (int i = 0; i < keys; i++) {
            Products.axpy(
                    (float) (weights[i] / sum),
                    v.values(),
                    (firstRow + i) * v.cols() + kvHead * dv,
                    result.values(),
                    row * result.cols() + head * dv,
                    dv);
        }
    }

    @Override
    public DeviceMatrix activate(Activation activation, DeviceMatrix gate, @Nullable DeviceMatrix up, DType to) {
        JavaDevice.checked(to);
        HeapMatrix result = new HeapMatrix(JavaDevice.own(gate).matrix().copy());
        float[] values = result.values();
        for (int i = 0; i < values.length; i++) {
            double factor = up == null ? 1 : JavaDevice.own(up).values()[i];
            values[i] = (float) (Activations.of(activation, values[i]) * factor);
        }
        return result;
    }

    @Override
    public DeviceMatrix clampedGate(DeviceMatrix gate, DeviceMatrix up, float alpha, float limit, DType to) {
        JavaDevice.checked(to);
        HeapMatrix result = HeapMatrix.zeros(gate.rows(), gate.cols());
        for (int i = 0; i < result.values().length; i++) {
            double g = Math.min(JavaDevice.own(gate).values()[i], limit);
            double u = Math.max(-limit, Math.min(JavaDevice.own(up).values()[i], limit));
            result.values()[i] = (float) (g / (1 + StrictMath.exp(-alpha * g)) * (u + 1));
        }
        return result;
    }

    @Override
    public DeviceMatrix join(DeviceMatrix a, int aWidth, DeviceMatrix b, int bWidth) {
        int heads = a.cols() / aWidth;
        int width = aWidth + bWidth;
        HeapMatrix result = HeapMatrix.zeros(a.rows(), heads * width);
        for (int row = 0; row < a.rows(); row++) {
            for (int head = 0; head < heads; head++) {
                int at = row * result.cols() + head * width;
                JavaDevice.own(a).read(row, head * aWidth, aWidth, result.values(), at);
                JavaDevice.own(b).read(row, head * bWidth % b.cols(), bWidth, result.values(), at + aWidth);
            }
        }
        return result;
    }

    @Override
    public DeviceMatrix add(DeviceMatrix a, DeviceMatrix b) {
        return sum(a, 1, b);
    }

    @Override
    public DeviceMatrix subtract(DeviceMatrix a, DeviceMatrix b) {
        return sum(a, -1, b);
    }

    private static HeapMatrix sum(DeviceMatrix a, float factor, DeviceMatrix b) {
        HeapMatrix result = new HeapMatrix(JavaDevice.own(a).matrix().copy());
        float[] other = JavaDevice.own(b).values();
        Products.axpy(factor, other, 0, result.values(), 0, other.length);
        return result;
    }

    @Override
    public DeviceMatrix scale(DeviceMatrix x, float factor, DType to) {
        JavaDevice.checked(to);
        HeapMatrix in = JavaDevice.own(x);
        HeapMatrix result = HeapMatrix.zeros(in.rows(), in.cols());
        Products.axpy(factor, in.values(), 0, result.values(), 0, in.values().length);
        return result;
    }

    @Override
    public DeviceMatrix gather(List<DeviceMatrix> matrices, List<int[]> index) {
        int cols = matrices.get(0).cols();
        HeapMatrix result =
                HeapMatrix.zeros(index.stream().mapToInt(rows -> rows.length).sum(), cols);
        int to = 0;
        for (int m = 0; m < index.size(); m++) {
            for (int row : index.get(m)) {
                JavaDevice.own(matrices.get(m)).read(row, 0, cols, result.values(), to++ * cols);
            }
        }
        return result;
    }

    @Override
    public void addRows(DeviceMatrix x, int from, float[] factors, int[] index, DeviceMatrix sum) {
        int cols = sum.cols();
        for (int i = 0; i < index.length; i++) {
            Products.axpy(
                    factors[i],
                    JavaDevice.own(x).values(),
                    (from + i) * cols,
                    JavaDevice.own(sum).values(),
                    index[i] * cols,
                    cols);
        }
    }

    @Override
    public void addGram(DeviceMatrix x, DeviceMatrix gram) {
        HeapMatrix in = JavaDevice.own(x);
        int n = in.cols();
        for (int token = 0; token < in.rows(); token++) {
            for (int i = 0; i < n; i++) {
                Products.axpy(
                        in.values()[token * n + i],
                        in.values(),
                        token * n,
                        JavaDevice.own(gram).values(),
                        i * n,
                        i + 1);
            }
        }
    }

    @Override
    public void addProducts(DeviceMatrix a, DeviceMatrix b, DeviceMatrix sum) {
        HeapMatrix left = JavaDevice.own(a);
        HeapMatrix right = JavaDevice.own(b);
        int n = left.cols();
        int m = right.cols();
        for (int token = 0; token < left.rows(); token++) {
            for (int i = 0; i < n; i++) {
                float factor = left.values()[token * n + i];
                Products.axpy(
                        factor, right.values(), token * m, JavaDevice.own(sum).values(), i * m, m);
            }
        }
    }

    @Override
    public void raiseLargest(DeviceMatrix x, DeviceMatrix largest) {
        JavaDevice.own(largest).raise(JavaDevice.own(x));
    }
}
