package quern.device.cuda;

import jcuda.Pointer;
import org.jspecify.annotations.Nullable;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.device.cuda.Launcher.Geometry;
import quern.tensor.DType;

/**
 * The kernels of {@code native/src/main/cuda/kernels.h} that the forward pass and copies need, each as a method with its parameters in
 * order: formulas, shapes and launch geometry are specified there. A kernel that reads and writes several types has one method; the
 * types of its matrices choose. Nothing is started for matrices without elements.
 */
final class Kernels {
    private final Launcher launcher;
    private final Stream stream;

    Kernels(Launcher launcher, Stream stream) {
        this.launcher = launcher;
        this.stream = stream;
    }

    /** to[i] = from[i], rounded to another type. */
    void convert(long from, DType fromType, long to, DType toType, long count) {
        launch(name("convert", fromType, toType), Geometry.flat(count), count, at(from), at(to), number(count));
    }

    void rmsNorm(CudaMatrix x, CudaMatrix weight, int width, float eps, float offset, CudaMatrix y) {
        int runs = Math.toIntExact(x.elements() / width);
        launch(
                name("rms_norm", x, y),
                norm(runs, width),
                runs,
                at(x),
                at(weight),
                number(weight.cols()),
                number(runs),
                number(width),
                number(eps),
                number(offset),
                at(y));
    }

    void layerNorm(CudaMatrix x, CudaMatrix weight, @Nullable CudaMatrix bias, int width, float eps, CudaMatrix y) {
        int runs = Math.toIntExact(x.elements() / width);
        launch(
                name("layer_norm", x, y),
                norm(runs, width),
                runs,
                at(x),
                at(weight),
                orNull(bias),
                number(weight.cols()),
                number(runs),
                number(width),
                number(eps),
                at(y));
    }

    private static Geometry norm(int runs, int width) {
        return width <= 1024
                ? new Geometry(32, 8, Geometry.ceil(runs, 8), 1, 1, 0)
                : new Geometry(256, 1, runs, 1, 1, 0);
    }

    void rotary(CudaMatrix x, CudaMatrix cos, CudaMatrix sin, int headDim, boolean interleaved, CudaMatrix y) {
        launch(
                name("rotary", x, y),
                Geometry.rows(x.rows()),
                x.elements(),
                at(x),
                at(cos),
                at(sin),
                number(cos.rows()),
                number(x.cols() / headDim),
                number(headDim),
                number(cos.cols()),
                number(interleaved ? 1 : 0),
                at(y));
    }

    /** On the matrix units where all are BF16 and heads are multiples of 8, else on the plain ones. */
    void attention(
            CudaMatrix q,
            CudaMatrix k,
            CudaMatrix v,
            @Nullable CudaMatrix bias,
            @Nullable CudaMatrix sinks,
            AttentionShape shape,
            CudaMatrix y) {
        int heads = shape.heads();
        int sequences = q.rows() / shape.length();
        int k16 = 16 * Geometry.ceil(shape.headDim(), 16);
        int v16 = 16 * Geometry.ceil(shape.valueDim(), 16);
        boolean tensor = q.dtype() == DType.BF16
                && y.dtype() == DType.BF16
                && shape.headDim() % 8 == 0
                && shape.valueDim() % 8 == 0;
        launch(
                tensor ? tensorAttention(shape.valueDim()) : name("attention", q, y),
                tensor
                        ? new Geometry(
                                128,
                                1,
                                Geometry.ceil(shape.length(), 64),
                                heads,
                                sequences,
                                2 * (128 * (k16 + 8) + 64 * (v16 + 8)))
                        : new Geometry(
                                256,
                                1,
                                Geometry.ceil(shape.length(), 32),
                                heads,
                                sequences,
                                4 * (32 * shape.headDim() + 32 * (shape.headDim() + 1) + 32 * shape.valueDim())),
                q.elements(),
                at(q),
                at(k),
                at(v),
                orNull(bias),
                orNull(sinks),
                number(shape.length()),
                number(heads),
                number(shape.kvHeads()),
                number(shape.headDim()),
                number(shape.valueDim()),
                number(shape.scale()),
                number(shape.window()),
                number(shape.cap()),
                at(y));
    }

    private static String tensorAttention(int valueDim) {
        return "attention_tensor_" + (valueDim <= 64 ? 64 : valueDim <= 128 ? 128 : 256);
    }

    void activate(Activation activation, CudaMatrix gate, @Nullable CudaMatrix up, CudaMatrix y) {
        launch(
                name("activate", gate, y),
                Geometry.flat(y.elements()),
                y.elements(),
                number(kind(activation)),
                at(gate),
                orNull(up),
                at(y),
                number(y.elements()));
    }

    private static int kind(Activation activation) {
        switch (activation) {
            case SILU:
                return 0;
            case GELU_ERF:
                return 1;
            case GELU_TANH:
                return 2;
            case RELU:
                return 3;
        }
        throw new IllegalArgumentException("No activation " + activation);
    }

    void clampedGate(CudaMatrix gate, CudaMatrix up, float alpha, float limit, CudaMatrix y) {
        launch(
                name("clamped_gate", gate, y),
                Geometry.flat(y.elements()),
                y.elements(),
                at(gate),
                at(up),
                number(alpha),
                number(limit),
                at(y),
                number(y.elements()));
    }

    /** y may be a or b. */
    void add(CudaMatrix a, CudaMatrix b, CudaMatrix y) {
        launch("add_f32", Geometry.flat(y.elements()), y.elements(), at(a), at(b), at(y), number(y.elements()));
    }

    void subtract(CudaMatrix a, CudaMatrix b, CudaMatrix y) {
        String kernel = "subtract_" + suffix(a.dtype());
        launch(kernel, Geometry.flat(y.elements()), y.elements(), at(a), at(b), at(y), number(y.elements()));
    }

    void scale(CudaMatrix x, float factor, CudaMatrix y) {
        launch(
                name("scale", x, y),
                Geometry.flat(y.elements()),
                y.elements(),
                at(x),
                number(factor),
                at(y),
                number(y.elements()));
    }

    /** y may be x. */
    void addBias(CudaMatrix x, CudaMatrix bias, CudaMatrix y) {
        launch(name("add_bias", x, y), Geometry.rows(x.rows()), x.elements(), at(x), at(bias), number(x.cols()), at(y));
    }

    /** Rows [row, row + count) of {@code to} become those rows of {@code from} that the index names. */
    void gatherRows(CudaMatrix from, long index, int count, CudaMatrix to, int row) {
        long rowBytes = (long) from.cols() * from.dtype().bytes();
        launch(
                "gather_rows",
                Geometry.rows(count),
                count * rowBytes,
                at(from),
                at(index),
                number(rowBytes),
                at(to.address(row, 0)));
    }

    void addRows(CudaMatrix x, int from, long factors, long index, int count, CudaMatrix sum) {
        launch(
                "add_rows_" + suffix(x.dtype()),
                Geometry.rows(count),
                (long) count * sum.cols(),
                at(x.address(from, 0)),
                at(factors),
                at(index),
                number(sum.cols()),
                at(sum));
    }

    void join(CudaMatrix a, int aWidth, CudaMatrix b, int bWidth, CudaMatrix y) {
        launch(
                "join_" + suffix(a.dtype()),
                Geometry.rows(a.rows()),
                y.elements(),
                at(a),
                number(aWidth),
                at(b),
                number(bWidth),
                number(b.cols()),
                number(a.cols() / aWidth),
                at(y));
    }

    void raiseLargest(CudaMatrix x, CudaMatrix largest) {
        int blocksY = Math.min(64, Math.max(1, Geometry.ceil(x.rows(), 64)));
        launch(
                "raise_largest_" + suffix(x.dtype()),
                new Geometry(32, 8, Geometry.ceil(x.cols(), 32), blocksY, 1, 0),
                x.elements(),
                at(x),
                number(x.rows()),
                number(x.cols()),
                at(largest));
    }

    /** @param elements how many there are to work on: without any, nothing is started */
    void launch(String kernel, Geometry shape, long elements, Pointer... arguments) {
        if (elements > 0) {
            launcher.launch(stream, kernel, shape, arguments);
        }
    }

    private static String name(String kernel, CudaMatrix from, CudaMatrix to) {
        return name(kernel, from.dtype(), to.dtype());
    }

    private static String name(String kernel, DType from, DType to) {
        return kernel + "_" + suffix(from) + "_" + suffix(to);
    }

    private static String suffix(DType type) {
        switch (type) {
            case F64:
                return "f64";
            case F32:
                return "f32";
            case F16:
                return "f16";
            case BF16:
                return "bf16";
            case U8:
                return "u8";
            default:
                throw new IllegalArgumentException("No kernel reads " + type);
        }
    }

    static Pointer at(CudaMatrix matrix) {
        return at(matrix.address());
    }

    static Pointer at(long address) {
        return Pointer.to(new long[] {address});
    }

    static Pointer orNull(@Nullable CudaMatrix matrix) {
        return at(matrix == null ? 0 : matrix.address());
    }

    static Pointer number(int value) {
        return Pointer.to(new int[] {value});
    }

    static Pointer number(long value) {
        return Pointer.to(new long[] {value});
    }

    static Pointer number(float value) {
        return Pointer.to(new float[] {value});
    }
}
