package quern.device.cuda;

import static quern.device.cuda.Kernels.at;
import static quern.device.cuda.Kernels.number;

import jcuda.Pointer;
import quern.device.CodeValues;
import quern.device.cuda.GridShapes.Tables;
import quern.device.cuda.Launcher.Geometry;
import quern.tensor.DType;

/**
 * The kernels of {@code native/src/main/cuda/kernels.h} that the solve needs, as {@link Kernels} has those of the forward pass: those about
 * Hessians and factors, and from weights to codes and losses. {@link SearchKernels} and {@link SweepKernels} have the others.
 */
final class GridKernels {
    /** Elements of a run whose products are added up in one partial sum. */
    private static final int RUN = 16384;

    private final Kernels kernels;

    GridKernels(Kernels kernels) {
        this.kernels = kernels;
    }

    /** @param orders address of {@code to.cols()} numbers of columns, or -1, for each member */
    void gatherColumns(CudaMatrix from, int members, long orders, CudaMatrix to) {
        kernels.launch(
                from.dtype() == DType.U8 ? "gather_columns_u8" : "gather_columns_f32",
                Geometry.rows(from.rows() / members).times(members),
                to.elements(),
                at(from),
                number((long) from.cols()),
                at(orders),
                number(to.cols()),
                at(to));
    }

    /** The sums in another order, over the tokens; nothing is added to the diagonal. */
    void orderHessian(CudaMatrix sum, long order, long noneDead, float tokens, CudaMatrix h) {
        kernels.launch(
                "order_hessian",
                Geometry.tiles(h.rows(), h.rows()),
                h.elements(),
                at(sum),
                number(h.rows()),
                at(order),
                at(noneDead),
                number(tokens),
                real(0),
                real(0),
                at(h));
    }

    /**
     * @param x address of the first of {@code cols} columns, {@code stride} elements from one row to the next
     * @param high addresses of bf16, {@code toStride} elements from one row to the next
     */
    void split(long x, long stride, int rows, int cols, long high, long low, long again, long toStride) {
        kernels.launch(
                "split_f32",
                Geometry.rows(rows),
                (long) rows * cols,
                at(x),
                number(stride),
                number(cols),
                at(high),
                at(low),
                at(again),
                number(toStride));
    }

    void mirrorLower(CudaMatrix m) {
        int n = m.rows();
        kernels.launch("mirror_lower", Geometry.tiles(n, n), m.elements(), at(m), number(n));
    }

    void reverseSymmetric(CudaMatrix h, CudaMatrix a) {
        square("reverse_symmetric", h, a);
    }

    void reverseLower(CudaMatrix l, CudaMatrix r) {
        square("reverse_lower", l, r);
    }

    private void square(String kernel, CudaMatrix from, CudaMatrix to) {
        int n = to.rows();
        kernels.launch(kernel, Geometry.tiles(n, n), to.elements(), at(from), number(n), at(to));
    }

    void transpose(CudaMatrix from, CudaMatrix to) {
        kernels.launch(
                "transpose_f32",
                Geometry.tiles(from.rows(), from.cols()),
                from.elements(),
                at(from),
                number(from.rows()),
                number(from.cols()),
                at(to));
    }

    /**
     * @param m (k * n) x n
     * @param diagonal k x n
     * @param bad address of an int, or 0
     */
    void diagonal(CudaMatrix m, CudaMatrix diagonal, long bad) {
        int n = m.cols();
        Geometry shape = Geometry.line(256, Geometry.ceil(n, 256)).times(diagonal.rows());
        kernels.launch("diagonal", shape, diagonal.elements(), at(m), number(n), at(diagonal), at(bad));
    }

    void columnSquares(CudaMatrix upper, CudaMatrix sums) {
        int n = upper.rows();
        kernels.launch("column_squares", Geometry.line(64, Geometry.ceil(n, 64)), n, at(upper), number(n), at(sums));
    }

    void quantizationError(
            CudaMatrix weights,
            CudaMatrix codes,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix error) {
        kernels.launch(
                "quantization_error",
                Geometry.rows(weights.rows()),
                weights.elements(),
                at(weights),
                at(codes),
                number(weights.cols()),
                at(tables.values()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                at(error));
    }

    void nearestCodes(
            CudaMatrix w,
            CodeValues values,
            Tables tables,
            long groupOfColumn,
            CudaMatrix scales,
            CudaMatrix zeros,
            CudaMatrix codes) {
        kernels.launch(
                "nearest_codes",
                Geometry.rows(w.rows()),
                w.elements(),
                at(w),
                number(w.cols()),
                GridShapes.grid(values),
                at(tables.thresholds()),
                at(groupOfColumn),
                number(scales.cols()),
                at(scales),
                at(zeros),
                number(0),
                number(0),
                at(codes));
    }

    /** Of each member. */
    static int partialSums(CudaMatrix matrix, int members) {
        return Geometry.ceil(matrix.elements() / members, RUN);
    }

    /** @param partial address of {@link #partialSums} doubles for each member */
    void dot(CudaMatrix a, CudaMatrix b, int members, long partial) {
        kernels.launch(
                "dot_f32",
                Geometry.line(256, partialSums(a, members)).times(members),
                a.elements(),
                at(a),
                at(b),
                number(a.elements() / members),
                at(partial));
    }

    /**
     * @param count doubles of each member
     * @param sums address of a double for each
     */
    void sums(long doubles, int count, int members, long sums) {
        kernels.launch("sum_f64", Geometry.line(256, members), count, at(doubles), number(count), at(sums));
    }

    private static Pointer real(double value) {
        return Pointer.to(new double[] {value});
    }
}
