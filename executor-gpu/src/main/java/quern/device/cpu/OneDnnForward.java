package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_BIAS;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCALE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_0;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_1;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_add;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_mul;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_gelu_erf;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_gelu_tanh;
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
            if (scale.cols() == width) {
                return normalized(in, scale, eps, to);
            }
            // oneDNN knows one weight for all runs: a weight for each is a product of its own.
            float[] ones = new float[width];
            Arrays.fill(ones, 1);
            NativeMatrix result = device.allocate(in.rows(), in.cols(), to);
            try (NativeMatrix one = device.allocate(1, width, DType.F32)) {
                one.write(0, 0, width, ones, 0);
                try (NativeMatrix unit = normalized(in, one, eps, DType.F32)) {
                    binary(dnnl_binary_mul, unit, scale, result);
                }
            }
            return result;
        }
    }

    private NativeMatrix normalized(NativeMatrix in, NativeMatrix scale, float eps, DType to) {
        NativeMatrix result = device.allocate(in.rows(), in.cols(), to);
        long runs = in.elements() / scale.cols();
        device.oneDnn()
                .primitive(new Operations.RmsNorm(
                        Layout.rows(in.dtype(), runs, scale.cols()), Layout.rows(to, runs, scale.cols()), eps))
                .run(device.oneDnn(), arg(DNNL_ARG_SRC, in), arg(DNNL_ARG_SCALE, scale), arg(DNNL_ARG_DST, result));
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
    public DeviceMatrix attention(DeviceMatrix q, DeviceMatrix k, DeviceMatrix v, AttentionShape shape, DType to) {
        try (Operand queries = operand(q);
                Operand keys = operand(k);
                Operand values = operand(v)) {
            return attention.run(queries.matrix(), keys.matrix(), values.matrix(), shape, to);
        }
    }

    @Override
    public DeviceMatrix activate(Activation activation, DeviceMatrix gate, @Nullable DeviceMatrix up, DType to) {
        NativeMatrix g = CpuDevice.own(gate);
        NativeMatrix u = up == null ? null : CpuDevice.own(up);
        NativeMatrix result = device.allocate(g.rows(), g.cols(), to);
        Primitive primitive = device.oneDnn()
                .primitive(new Operations.Elementwise(
                        function(activation),
                        activation == Activation.SILU ? 1 : 0,
                        g.layout(),
                        result.layout(),
                        u == null ? null : u.layout()));
        try (NativeMemory.Block zero = device.memory().zeros(DType.F32.bytes())) {
            List<Primitive.Arg> args = new ArrayList<>(List.of(
                    arg(DNNL_ARG_SRC_0, g),
                    new Primitive.Arg(DNNL_ARG_SRC_1, zero.address()),
                    arg(DNNL_ARG_DST, result)));
            if (u != null) {
                args.add(arg(Operations.Elementwise.FACTOR, u));
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

    private void binary(int kind, NativeMatrix a, NativeMatrix b, NativeMatrix result) {
        device.oneDnn()
                .primitive(new Operations.Binary(kind, a.layout(), b.layout(), result.layout()))
                .run(device.oneDnn(), arg(DNNL_ARG_SRC_0, a), arg(DNNL_ARG_SRC_1, b), arg(DNNL_ARG_DST, result));
    }

    @Override
    public void addGram(DeviceMatrix x, DeviceMatrix gramMatrix) {
        try (Operand in = operand(x)) {
            gram.add(in.matrix(), CpuDevice.own(gramMatrix));
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
