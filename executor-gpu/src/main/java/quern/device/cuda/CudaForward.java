package quern.device.cuda;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The forward pass by cuBLAS and our kernels. */
final class CudaForward implements ForwardKernels {
    /** What the attention kernel's registers hold of a head. */
    private static final int WIDEST_HEAD = 256;
    /** Columns of a panel of a Gram matrix: its upper triangle is all that is computed twice. */
    private static final int PANEL = 2048;
    /**
     * Tokens of one product of a Gram matrix: matrix units cut off rather than round what they add up, so a sum is kept short before
     * it is added to the whole in fp32.
     */
    private static final int TOKENS = 8192;

    private final CudaDevice device;
    private final Kernels kernels;

    CudaForward(CudaDevice device) {
        this.device = device;
        this.kernels = device.kernels();
    }

    @Override
    public DeviceMatrix prepare(DeviceMatrix weight) {
        return device.as(device.own(weight), device.computeType());
    }

    @Override
    public DeviceMatrix linear(DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, DType to) {
        CudaMatrix w = device.own(weight); // outputs x inputs
        try (Operand in = operand(x)) {
            if (bias == null) {
                return device.filled(x.rows(), w.rows(), to, y -> multiply(in.matrix(), w, y));
            }
            CudaMatrix b = device.own(bias);
            if (to == DType.F32) {
                return device.filled(x.rows(), w.rows(), to, y -> {
                    multiply(in.matrix(), w, y);
                    kernels.addBias(y, b, y);
                });
            }
            try (CudaMatrix sums =
                    device.filled(x.rows(), w.rows(), DType.F32, product -> multiply(in.matrix(), w, product))) {
                return device.filled(x.rows(), w.rows(), to, y -> kernels.addBias(sums, b, y));
            }
        }
    }

    /** y = x wT. */
    private void multiply(CudaMatrix x, CudaMatrix w, CudaMatrix y) {
        device.products()
                .multiply(
                        w.dtype(),
                        y.dtype(),
                        false,
                        true,
                        x.rows(),
                        w.rows(),
                        w.cols(),
                        x.address(),
                        x.cols(),
                        w.address(),
                        w.cols(),
                        0,
                        y.address(),
                        y.cols());
    }

    @Override
    public DeviceMatrix rmsNorm(DeviceMatrix x, DeviceMatrix weight, int width, float eps, float offset, DType to) {
        CudaMatrix in = device.own(x);
        CudaMatrix w = device.own(weight);
        return device.filled(in.rows(), in.cols(), to, y -> kernels.rmsNorm(in, w, width, eps, offset, y));
    }

    @Override
    public DeviceMatrix layerNorm(
            DeviceMatrix x, DeviceMatrix weight, @Nullable DeviceMatrix bias, int width, float eps, DType to) {
        CudaMatrix in = device.own(x);
        CudaMatrix w = device.own(weight);
        return device.filled(in.rows(), in.cols(), to, y -> kernels.layerNorm(in, w, orNone(bias), width, eps, y));
    }

    @Override
    public DeviceMatrix rotary(
            DeviceMatrix x, DeviceMatrix cos, DeviceMatrix sin, int headDim, boolean interleaved, DType to) {
        CudaMatrix in = device.own(x);
        return device.filled(
                in.rows(),
                in.cols(),
                to,
                y -> kernels.rotary(in, device.own(cos), device.own(sin), headDim, interleaved, y));
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
        if (Math.max(shape.headDim(), shape.valueDim()) > WIDEST_HEAD) {
            throw new QuernException("Cannot compute attention with heads of "
                    + Math.max(shape.headDim(), shape.valueDim()) + " columns on 'cuda': its kernel holds "
                    + WIDEST_HEAD
                    + " (use --device cpu)");
        }
        try (Operand queries = operand(q);
                Operand keys = operand(k);
                Operand values = operand(v)) {
            return device.filled(
                    q.rows(),
                    shape.heads() * shape.valueDim(),
                    to,
                    y -> kernels.attention(
                            queries.matrix(), keys.matrix(), values.matrix(), orNone(bias), orNone(sinks), shape, y));
        }
    }

    @Override
    public DeviceMatrix join(DeviceMatrix a, int aWidth, DeviceMatrix b, int bWidth) {
        CudaMatrix left = device.own(a);
        CudaMatrix right = device.own(b);
        int heads = left.cols() / aWidth;
        return device.filled(
                left.rows(),
                heads * (aWidth + bWidth),
                left.dtype(),
                y -> kernels.join(left, aWidth, right, bWidth, y));
    }

    @Override
    public DeviceMatrix activate(Activation activation, DeviceMatrix gate, @Nullable DeviceMatrix up, DType to) {
        CudaMatrix g = device.own(gate);
        if (up == null) {
            return device.filled(g.rows(), g.cols(), to, y -> kernels.activate(activation, g, null, y));
        }
        try (Operand u = operand(up, g.dtype())) {
            return device.filled(g.rows(), g.cols(), to, y -> kernels.activate(activation, g, u.matrix(), y));
        }
    }

    @Override
    public DeviceMatrix clampedGate(DeviceMatrix gate, DeviceMatrix up, float alpha, float limit, DType to) {
        CudaMatrix g = device.own(gate);
        try (Operand u = operand(up, g.dtype())) {
            return device.filled(g.rows(), g.cols(), to, y -> kernels.clampedGate(g, u.matrix(), alpha, limit, y));
        }
    }

    @Override
    public DeviceMatrix add(DeviceMatrix a, DeviceMatrix b) {
        try (Operand left = operand(a, DType.F32);
                Operand right = operand(b, DType.F32)) {
            return device.filled(a.rows(), a.cols(), DType.F32, y -> kernels.add(left.matrix(), right.matrix(), y));
        }
    }

    @Override
    public DeviceMatrix subtract(DeviceMatrix a, DeviceMatrix b) {
        return device.filled(a.rows(), a.cols(), DType.F32, y -> kernels.subtract(device.own(a), device.own(b), y));
    }

    @Override
    public DeviceMatrix scale(DeviceMatrix x, float factor, DType to) {
        CudaMatrix in = device.own(x);
        return device.filled(in.rows(), in.cols(), to, y -> kernels.scale(in, factor, y));
    }

    @Override
    public DeviceMatrix gather(List<DeviceMatrix> matrices, List<int[]> index) {
        int rows = index.stream().mapToInt(some -> some.length).sum();
        CudaMatrix first = device.own(matrices.get(0));
        return device.filled(rows, first.cols(), first.dtype(), y -> {
            int row = 0;
            for (int m = 0; m < index.size(); m++) {
                int[] some = index.get(m);
                if (some.length > 0) {
                    try (Arena.Block numbers = device.numbers(some)) {
                        kernels.gatherRows(device.own(matrices.get(m)), numbers.address(), some.length, y, row);
                    }
                    row += some.length;
                }
            }
        });
    }

    @Override
    public void addRows(DeviceMatrix x, int from, float[] factors, int[] index, DeviceMatrix sum) {
        if (index.length == 0) {
            return;
        }
        Matrix f = new Matrix(1, factors.length, factors);
        try (DeviceMatrix weights = device.upload(f, DType.F32);
                Arena.Block numbers = device.numbers(index)) {
            kernels.addRows(
                    device.own(x),
                    from,
                    device.own(weights).address(),
                    numbers.address(),
                    index.length,
                    device.own(sum));
        }
    }

    /**
     * A panel of columns at a time, from its diagonal down: G[c:, c:c+w] += X[:, c:]T X[:, c:c+w].
     *
     * <p>How tokens are cut into products is part of the result's bits; so it hangs on the batches, which are the plan's, and not on
     * what memory is free.
     */
    @Override
    public void addGram(DeviceMatrix x, DeviceMatrix gram) {
        CudaMatrix sum = device.own(gram);
        try (Operand operand = operand(x)) {
            CudaMatrix in = operand.matrix();
            int n = in.cols();
            for (int token = 0; token < in.rows(); token += TOKENS) {
                for (int column = 0; column < n; column += PANEL) {
                    addProducts(in, in, token, column, n - column, Math.min(PANEL, n - column), sum);
                }
            }
        }
    }

    @Override
    public void addProducts(DeviceMatrix a, DeviceMatrix b, DeviceMatrix sum) {
        try (Operand left = operand(a);
                Operand right = operand(b)) {
            for (int token = 0; token < a.rows(); token += TOKENS) {
                addProducts(left.matrix(), right.matrix(), token, 0, a.cols(), b.cols(), device.own(sum));
            }
        }
    }

    /** A block of sum += aT b whose diagonal begins at {@code at}, over the tokens of one product. */
    private void addProducts(CudaMatrix a, CudaMatrix b, int token, int at, int rows, int cols, CudaMatrix sum) {
        device.products()
                .multiply(
                        a.dtype(),
                        DType.F32,
                        true,
                        false,
                        rows,
                        cols,
                        Math.min(TOKENS, a.rows() - token),
                        a.address(token, at),
                        a.cols(),
                        b.address(token, at),
                        b.cols(),
                        1,
                        sum.address(at, at),
                        sum.cols());
    }

    @Override
    public void raiseLargest(DeviceMatrix x, DeviceMatrix largest) {
        kernels.raiseLargest(device.own(x), device.own(largest));
    }

    private @Nullable CudaMatrix orNone(@Nullable DeviceMatrix matrix) {
        return matrix == null ? null : device.own(matrix);
    }

    /** An operand of a product: the matrix itself, or a copy rounded to the compute type, which the close releases. */
    private Operand operand(DeviceMatrix matrix) {
        return operand(matrix, device.computeType());
    }

    private Operand operand(DeviceMatrix matrix, DType type) {
        CudaMatrix own = device.own(matrix);
        return own.dtype() == type ? new Operand(own, false) : new Operand(device.as(own, type), true);
    }

    private record Operand(CudaMatrix matrix, boolean copied) implements AutoCloseable {
        @Override
        public void close() {
            if (copied) {
                matrix.close();
            }
        }
    }
}
