package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_BIAS;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCALE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SHIFT;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_0;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_1;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_add;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_mul;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_sub;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_clip;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_gelu_erf;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_gelu_tanh;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_linear;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_relu;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_swish;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.tensor.DType;

/** The forward pass by oneDNN. */
final class OneDnnForward implements ForwardKernels {
    private final CpuDevice device;
    private final OneDnnAttention attention;
    private final Gram gram;

    OneDnnForward(CpuDevice device) {
        this.device = device;
        attention = new OneDnnAttention(device);
        gram = new Gram(device);
    }

    @Override
    public DeviceMatrix prepare(DeviceMatrix weight) {
        NativeMatrix w = CpuDevice.own(weight); // outputs x inputs
        Layout transposed = w.layout().transposed();
        Layout dst = Layout.rows(device.computeType(), w.cols(), w.rows());
        Primitive reorder = device.oneDnn().primitive(new Operations.Reorder(transposed, dst, true));
        NativeMatrix result = new NativeMatrix(
                w.rows(), w.cols(), device.computeType(), true, device.memory().allocate(reorder.bytes(DNNL_ARG_DST)));
        reorder.run(device.oneDnn(), arg(DNNL_ARG_SRC, w), arg(DNNL_ARG_DST, result));
        return result;
    }

    @Override
    public DeviceMatrix linear(DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, DType to) {
        if (!(weight instanceof NativeMatrix) || !((NativeMatrix) weight).prepared()) {
            throw new IllegalArgumentException("The weight of linear() comes from prepare() of the same device");
        }
        NativeMatrix w = (NativeMatrix) weight;
        try (Operand in = operand(x)) {
            NativeMatrix result = device.allocate(in.matrix().rows(), w.rows(), to);
            Primitive product = device.oneDnn()
                    .primitive(new Operations.Product(
                            in.matrix().layout(),
                            Layout.rows(w.dtype(), w.cols(), w.rows()),
                            result.layout(),
                            true,
                            bias != null,
                            1,
                            0,
                            null,
                            false));
            List<Primitive.Arg> args = new ArrayList<>(
                    List.of(arg(DNNL_ARG_SRC, in.matrix()), arg(DNNL_ARG_WEIGHTS, w), arg(DNNL_ARG_DST, result)));
            if (bias != null) {
                args.add(arg(DNNL_ARG_BIAS, CpuDevice.own(bias)));
            }
            product.run(device.oneDnn(), args.toArray(new Primitive.Arg[0]));
            return result;
        }
    }

    @Override
    public DeviceMatrix rmsNorm(DeviceMatrix x, DeviceMatrix weight, int width, float eps, float offset, DType to) {
        NativeMatrix in = CpuDevice.own(x);
        try (NativeMatrix scale = shifted(CpuDevice.own(weight), offset)) {
            return normalized(in, scale, null, width, eps, true, to);
        }
    }

    @Override
    public DeviceMatrix layerNorm(
            DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, int width, float eps, DType to) {
        NativeMatrix shift = bias == null ? null : CpuDevice.own(bias);
        return normalized(CpuDevice.own(x), CpuDevice.own(weight), shift, width, eps, false, to);
    }

    private NativeMatrix normalized(
            NativeMatrix in,
            NativeMatrix scale,
            @Nullable NativeMatrix shift,
            int width,
            float eps,
            boolean rms,
            DType to) {
        if (scale.cols() == width) {
            return sharing(in, scale, shift, eps, rms, to);
        }
        // oneDNN knows one weight for all runs: a weight for each is a product of its own.
        float[] ones = new float[width];
        Arrays.fill(ones, 1);
        NativeMatrix result = device.allocate(in.rows(), in.cols(), to);
        try (NativeMatrix one = device.allocate(1, width, DType.F32)) {
            one.write(0, 0, width, ones, 0);
            try (NativeMatrix unit = sharing(in, one, null, eps, rms, DType.F32)) {
                if (shift == null) {
                    binary(dnnl_binary_mul, unit, scale, result);
                } else {
                    try (NativeMatrix scaled = device.allocate(in.rows(), in.cols(), DType.F32)) {
                        binary(dnnl_binary_mul, unit, scale, scaled);
                        binary(dnnl_binary_add, scaled, shift, result);
                    }
                }
            }
        }
        return result;
    }

    /** All runs share one weight, as wide as they are. */
    private NativeMatrix sharing(
            NativeMatrix in, NativeMatrix scale, @Nullable NativeMatrix shift, float eps, boolean rms, DType to) {
        NativeMatrix result = device.allocate(in.rows(), in.cols(), to);
        long runs = in.elements() / scale.cols();
        List<Primitive.Arg> args =
                new ArrayList<>(List.of(arg(DNNL_ARG_SRC, in), arg(DNNL_ARG_SCALE, scale), arg(DNNL_ARG_DST, result)));
        if (shift != null) {
            args.add(arg(DNNL_ARG_SHIFT, shift));
        }
        device.oneDnn()
                .primitive(new Operations.Normalization(
                        Layout.rows(in.dtype(), runs, scale.cols()),
                        Layout.rows(to, runs, scale.cols()),
                        eps,
                        rms,
                        shift != null))
                .run(device.oneDnn(), args.toArray(new Primitive.Arg[0]));
        return result;
    }

    private NativeMatrix shifted(NativeMatrix weight, float offset) {
        float[] values = new float[weight.cols()];
        weight.read(0, 0, values.length, values, 0);
        for (int i = 0; i < values.length; i++) {
            values[i] += offset;
        }
        NativeMatrix result = device.allocate(1, values.length, DType.F32);
        result.write(0, 0, values.length, values, 0);
        return result;
    }

    @Override
    public DeviceMatrix rotary(
            DeviceMatrix x, DeviceMatrix cos, DeviceMatrix sin, int headDim, boolean interleaved, DType to) {
        NativeMatrix in = CpuDevice.own(x);
        int length = cos.rows();
        Rope rope = new Rope(device.download(cos), device.download(sin), headDim, interleaved);
        NativeMatrix turned = device.allocate(in.rows(), in.cols(), DType.F32);
        if (in.dtype() != DType.F32) {
            device.convert(in, turned);
        }
        NativeMatrix source = in.dtype() == DType.F32 ? in : turned;
        int rowsAtOnce = Math.max(1, 8192 / in.cols());
        float[] chunk = new float[rowsAtOnce * in.cols()];
        float[] result = new float[rowsAtOnce * in.cols()];
        float[] partners = new float[headDim];
        for (int from = 0; from < in.rows(); from += rowsAtOnce) {
            int rows = Math.min(rowsAtOnce, in.rows() - from);
            source.read(from, 0, rows * in.cols(), chunk, 0);
            for (int row = 0; row < rows; row++) {
                rope.turn(chunk, row * in.cols(), in.cols() / headDim, (from + row) % length, partners, result);
            }
            turned.write(from, 0, rows * in.cols(), result, 0);
        }
        if (to == DType.F32) {
            return turned;
        }
        try (turned) {
            return device.as(turned, to);
        }
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
        try (Operand queries = operand(q);
                Operand keys = operand(k);
                Operand values = operand(v)) {
            NativeMatrix added = bias == null ? null : CpuDevice.own(bias);
            float[] sunk = sinks == null ? null : device.download(sinks).values();
            return attention.run(queries.matrix(), keys.matrix(), values.matrix(), added, sunk, shape, to);
        }
    }

    @Override
    public DeviceMatrix activate(Activation activation, DeviceMatrix gate, @Nullable DeviceMatrix up, DType to) {
        NativeMatrix g = CpuDevice.own(gate);
        NativeMatrix u = up == null ? null : CpuDevice.own(up);
        return elementwise(
                List.of(new Operations.Function(function(activation), activation == Activation.SILU ? 1 : 0, 0)),
                g,
                u,
                to);
    }

    @Override
    public DeviceMatrix clampedGate(DeviceMatrix gate, DeviceMatrix up, float alpha, float limit, DType to) {
        List<Operations.Function> ofUp = List.of(
                new Operations.Function(dnnl_eltwise_clip, -limit, limit),
                new Operations.Function(dnnl_eltwise_linear, 1, 1));
        List<Operations.Function> ofGate = List.of(
                new Operations.Function(dnnl_eltwise_clip, -Float.MAX_VALUE, limit),
                new Operations.Function(dnnl_eltwise_swish, alpha, 0));
        try (NativeMatrix factor = elementwise(ofUp, CpuDevice.own(up), null, DType.F32)) {
            return elementwise(ofGate, CpuDevice.own(gate), factor, to);
        }
    }

    @Override
    public DeviceMatrix join(DeviceMatrix a, int aWidth, DeviceMatrix b, int bWidth) {
        NativeMatrix left = CpuDevice.own(a);
        NativeMatrix right = CpuDevice.own(b);
        int heads = a.cols() / aWidth;
        int width = aWidth + bWidth;
        long bytes = a.dtype().bytes();
        NativeMatrix result = device.allocate(a.rows(), heads * width, a.dtype());
        for (int row = 0; row < a.rows(); row++) {
            for (int head = 0; head < heads; head++) {
                int shared = head * bWidth % b.cols();
                left.address(row, head * aWidth).copyTo(result.address(row, head * width), aWidth * bytes);
                right.address(row, shared).copyTo(result.address(row, head * width + aWidth), bWidth * bytes);
            }
        }
        return result;
    }

    private NativeMatrix elementwise(
            List<Operations.Function> functions, NativeMatrix g, @Nullable NativeMatrix u, DType to) {
        if (g.dtype() != to) { // the library's code for two types is a hundred times as slow
            try (NativeMatrix wide = to == DType.F32 ? device.as(g, to) : elementwise(functions, g, u, g.dtype())) {
                return to == DType.F32 ? elementwise(functions, wide, u, to) : device.as(wide, to);
            }
        }
        NativeMatrix result = device.allocate(g.rows(), g.cols(), to);
        Primitive primitive = device.oneDnn()
                .primitive(new Operations.Elementwise(
                        functions, g.layout(), result.layout(), u == null ? null : u.layout()));
        try (NativeMemory.Block zero = device.memory().zeros(DType.F32.bytes())) {
            List<Primitive.Arg> args = new ArrayList<>(List.of(
                    arg(DNNL_ARG_SRC_0, g),
                    new Primitive.Arg(DNNL_ARG_SRC_1, zero.address()),
                    arg(DNNL_ARG_DST, result)));
            if (u != null) {
                args.add(arg(Operations.Elementwise.factorArgument(functions.size()), u));
            }
            primitive.run(device.oneDnn(), args.toArray(new Primitive.Arg[0]));
        }
        return result;
    }

    private static int function(Activation activation) {
        switch (activation) {
            case SILU:
                return dnnl_eltwise_swish;
            case GELU_ERF:
                return dnnl_eltwise_gelu_erf;
            case GELU_TANH:
                return dnnl_eltwise_gelu_tanh;
            case RELU:
                return dnnl_eltwise_relu;
        }
        throw new IllegalArgumentException("No activation " + activation);
    }

    @Override
    public DeviceMatrix add(DeviceMatrix a, DeviceMatrix b) {
        NativeMatrix left = CpuDevice.own(a);
        NativeMatrix result = device.allocate(left.rows(), left.cols(), DType.F32);
        binary(dnnl_binary_add, left, CpuDevice.own(b), result);
        return result;
    }

    @Override
    public DeviceMatrix subtract(DeviceMatrix a, DeviceMatrix b) {
        // Widened first: the library's code for a result of another type takes longer than that.
        try (NativeMatrix right = device.as(CpuDevice.own(b), DType.F32)) {
            NativeMatrix result = device.as(CpuDevice.own(a), DType.F32);
            binary(dnnl_binary_sub, result, right, result);
            return result;
        }
    }

    private void binary(int kind, NativeMatrix a, NativeMatrix b, NativeMatrix result) {
        device.oneDnn()
                .primitive(new Operations.Binary(kind, a.layout(), b.layout(), result.layout()))
                .run(device.oneDnn(), arg(DNNL_ARG_SRC_0, a), arg(DNNL_ARG_SRC_1, b), arg(DNNL_ARG_DST, result));
    }

    @Override
    public DeviceMatrix scale(DeviceMatrix x, float factor, DType to) {
        return elementwise(
                List.of(new Operations.Function(dnnl_eltwise_linear, factor, 0)), CpuDevice.own(x), null, to);
    }

    @Override
    public DeviceMatrix gather(List<DeviceMatrix> matrices, List<int[]> index) {
        int rows = index.stream().mapToInt(some -> some.length).sum();
        NativeMatrix result =
                device.allocate(rows, matrices.get(0).cols(), matrices.get(0).dtype());
        int to = 0;
        for (int m = 0; m < index.size(); m++) {
            to += copy(CpuDevice.own(matrices.get(m)), index.get(m), result, to);
        }
        return result;
    }

    /** Rows that stand together are one copy. */
    private static int copy(NativeMatrix in, int[] index, NativeMatrix result, int to) {
        int first = 0;
        for (int i = 1; i <= index.length; i++) {
            if (i == index.length || index[i] != index[i - 1] + 1) {
                in.address(index[first], 0).copyTo(result.address(to + first, 0), (i - first) * in.rowBytes());
                first = i;
            }
        }
        return index.length;
    }

    @Override
    public void addRows(DeviceMatrix x, int from, float[] factors, int[] index, DeviceMatrix sum) {
        NativeMatrix in = CpuDevice.own(x);
        if (in.dtype() != DType.F32) {
            try (NativeMatrix floats = device.as(in, DType.F32)) {
                addRows(floats, from, factors, index, sum);
            }
            return;
        }
        int cols = sum.cols();
        float[] row = new float[cols];
        float[] more = new float[cols];
        for (int i = 0; i < index.length; i++) {
            in.read(from + i, 0, cols, more, 0);
            CpuDevice.own(sum).read(index[i], 0, cols, row, 0);
            Products.axpy(factors[i], more, 0, row, 0, cols);
            CpuDevice.own(sum).write(index[i], 0, cols, row, 0);
        }
    }

    @Override
    public void addGram(DeviceMatrix x, DeviceMatrix gramMatrix) {
        try (Operand in = operand(x)) {
            gram.add(in.matrix(), CpuDevice.own(gramMatrix));
        }
    }

    @Override
    public void addProducts(DeviceMatrix a, DeviceMatrix b, DeviceMatrix sum) {
        try (Operand left = operand(a);
                Operand right = operand(b)) {
            gram.add(left.matrix(), right.matrix(), CpuDevice.own(sum));
        }
    }

    @Override
    public void raiseLargest(DeviceMatrix x, DeviceMatrix largest) {
        NativeMatrix in = CpuDevice.own(x);
        if (in.dtype() == DType.F32) {
            CpuDevice.own(largest).raise(in);
        } else {
            try (NativeMatrix floats = device.as(in, DType.F32)) {
                CpuDevice.own(largest).raise(floats);
            }
        }
    }

    static Primitive.Arg arg(int number, NativeMatrix matrix) {
        return new Primitive.Arg(number, matrix.address());
    }

    /** An operand of a product: the matrix itself, or a copy rounded to the compute type, which the close releases. */
    private Operand operand(DeviceMatrix matrix) {
        NativeMatrix own = CpuDevice.own(matrix);
        return own.dtype() == device.computeType()
                ? new Operand(own, false)
                : new Operand(device.as(own, device.computeType()), true);
    }

    private record Operand(NativeMatrix matrix, boolean copied) implements AutoCloseable {
        @Override
        public void close() {
            if (copied) {
                matrix.close();
            }
        }
    }
}
