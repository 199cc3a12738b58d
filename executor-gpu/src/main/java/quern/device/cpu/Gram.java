package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;

import java.util.List;

/** gram += xT x: the lower triangle, a panel of columns at a time. */
final class Gram {
    /** Columns of a panel: its triangle is all that is computed twice. */
    private static final int PANEL = 512;
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

    private void panel(NativeMatrix x, int token, long tokens, int column, NativeMatrix gram) {
        long n = x.cols();
        long below = n - column;
        long width = Math.min(PANEL, below);
        Primitive product = device.oneDnn()
                .primitive(Operations.Product.of(
                                Layout.of(x.dtype(), List.of(below, tokens), List.of(1L, n)),
                                Layout.of(x.dtype(), List.of(tokens, width), List.of(n, 1L)),
                                Layout.of(gram.dtype(), List.of(below, width), List.of(n, 1L)))
                        .accumulating());
        product.run(
                device.oneDnn(),
                new Primitive.Arg(DNNL_ARG_SRC, x.address(token, column)),
                new Primitive.Arg(DNNL_ARG_WEIGHTS, x.address(token, column)),
                new Primitive.Arg(DNNL_ARG_DST, gram.address(column, column)));
    }
}
