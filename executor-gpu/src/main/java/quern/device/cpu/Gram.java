package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;

import java.util.List;

/** Sums of products over tokens: gram += xT x, of which the lower triangle, a panel of columns at a time; and sum += aT b. */
final class Gram {
    /** Columns of a panel: its triangle is all that is computed twice. */
    private static final int PANEL = 256;
    /** Tokens of one product: a sum in fp32 is bounded by it before it is added to the whole. */
    private static final int TOKENS = 2048;

    private final CpuDevice device;

    Gram(CpuDevice device) {
        this.device = device;
    }

    /**
     * @param x tokens x inputs, compute type
     * @param gram inputs x inputs, F32
     */
    void add(NativeMatrix x, NativeMatrix gram) {
        for (int token = 0; token < x.rows(); token += TOKENS) {
            for (int column = 0; column < x.cols(); column += PANEL) {
                panel(x, token, Math.min(TOKENS, x.rows() - token), column, gram);
            }
        }
    }

    /**
     * @param a tokens x n, compute type
     * @param b tokens x m, compute type
     * @param sum n x m, F32
     */
    void add(NativeMatrix a, NativeMatrix b, NativeMatrix sum) {
        for (int token = 0; token < a.rows(); token += TOKENS) {
            add(a, b, token, Math.min(TOKENS, a.rows() - token), 0, a.cols(), b.cols(), sum);
        }
    }

    private void panel(NativeMatrix x, int token, long tokens, int column, NativeMatrix gram) {
        long below = x.cols() - column;
        add(x, x, token, tokens, column, below, Math.min(PANEL, below), gram);
    }

    /** A block of the sum whose diagonal begins at {@code at}: so many rows and columns of it, over so many tokens. */
    private void add(
            NativeMatrix a, NativeMatrix b, int token, long tokens, int at, long rows, long cols, NativeMatrix sum) {
        Primitive product = device.oneDnn()
                .primitive(Operations.Product.of(
                                Layout.of(a.dtype(), List.of(rows, tokens), List.of(1L, (long) a.cols())),
                                Layout.of(b.dtype(), List.of(tokens, cols), List.of((long) b.cols(), 1L)),
                                Layout.of(sum.dtype(), List.of(rows, cols), List.of((long) sum.cols(), 1L)))
                        .accumulating());
        product.run(
                device.oneDnn(),
                new Primitive.Arg(DNNL_ARG_SRC, a.address(token, at)),
                new Primitive.Arg(DNNL_ARG_WEIGHTS, b.address(token, at)),
                new Primitive.Arg(DNNL_ARG_DST, sum.address(at, at)));
    }
}
