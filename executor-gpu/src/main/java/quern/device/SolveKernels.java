package quern.device;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The steps of a GPTQ solve on the device that holds the matrices: weights, codes, scales and zeros stay there until a linear
 * is done. Rows of a weight are independent of each other. Matrices that are
 * returned are new and the caller's to close.
 *
 * <p>Several linears of one shape, each with a Hessian of its own, are taken together as a <em>stack</em>: their k weights, codes,
 * scales and Hessians lie one below the other, weights (k * rows) x n, Hessians and factors (k * n) x n, so that row r of a weight
 * belongs to member r / rows. With k = 1 it is a single linear. What a member becomes is, bit for bit, what it becomes alone; a
 * device whose kernels leave most of it idle with one small linear is filled by many.
 */
public interface SolveKernels {
    /** How many rows of a weight are best solved at a time, which bounds the memory of a large one. */
    int rowsAtATime();

    /**
     * Matrices one below the other.
     *
     * @param members each rows x n, F32
     * @return (k * rows) x n
     */
    DeviceMatrix stack(List<DeviceMatrix> members);

    /**
     * Columns of a matrix in another order, of a stack in one for each member.
     *
     * @param matrix (k * rows) x n, F32 or codes
     * @param orders k of one length: for each column of the result, the column of the matrix, or -1 for zeros
     * @return (k * rows) x length, of the same type
     */
    DeviceMatrix columns(DeviceMatrix matrix, int[]... orders);

    /**
     * Writes the lower triangle of a square matrix onto the upper one, which {@link ForwardKernels#addGram} leaves open.
     *
     * @param matrix n x n, F32
     */
    void mirrorLower(DeviceMatrix matrix);

    /**
     * The diagonal of a square matrix.
     *
     * @param matrix n x n, F32
     * @return n
     */
    float[] diagonal(DeviceMatrix matrix);

    /**
     * A damped Hessian with its rows and columns in some order: H[i,j] = sum[order[i], order[j]] / tokens, and
     * {@code diagonal[i]} for i = j.
     *
     * @param sum n x n, F32, symmetric
     * @param order n, columns of the sum
     * @param diagonal n
     * @return n x n, F32
     */
    DeviceMatrix hessian(DeviceMatrix sum, long tokens, int[] order, float[] diagonal);

    /**
     * Factors a damped Hessian in place: H = R RT with R upper triangular (the Cholesky factorization from the last row up).
     * Reads the lower triangle, leaves R in the upper one and zeros below.
     *
     * @param hessian n x n, F32
     * @return false if it is not positive definite; the content is then undefined
     */
    boolean factor(DeviceMatrix hessian);

    /**
     * The diagonal of inv(H) from its factor, length n.
     *
     * @param factor n x n, from {@link #factor}
     */
    float[] inverseDiagonal(DeviceMatrix factor);

    /**
     * B inv(H), by the factor of H.
     *
     * @param matrix B, rows x n, F32
     * @param factor n x n, from {@link #factor}
     * @return rows x n, F32
     */
    DeviceMatrix divide(DeviceMatrix matrix, DeviceMatrix factor);

    /**
     * Chooses the grids of groups, each of which is a run of columns. The k-th run begins at from + k * length; the last may
     * end with the row.
     *
     * @param weights (k * rows) x n, F32
     * @param importance k x n, F32, of a squared error in each column; null where these are not what is measured
     * @param from the first column of the first run
     * @param length columns of a run
     * @param groups k times: for each run, the group whose grid is chosen
     * @param grids written at these groups
     */
    void search(
            DeviceMatrix weights,
            @Nullable DeviceMatrix importance,
            GridSearch search,
            int from,
            int length,
            int[][] groups,
            Grids grids);

    /**
     * Chooses the grids of blocks, and the codes nearest to the weights on them.
     *
     * @param weights rows x n, F32, n whole blocks
     * @param importance 1 x n, F32, of a squared error in each column; null where all weigh the same
     * @param grids written: scales, zeros, and what they are multiples of
     * @return codes, rows x n
     */
    DeviceMatrix search(DeviceMatrix weights, @Nullable DeviceMatrix importance, BlockSearch search, Grids grids);

    /**
     * The values that the columns [from, to) would take if they could take any, given those before them. That is the sweep
     * with a quantizer that changes nothing: for each column i in turn, for every later column j before {@code to},
     * w[:,j] += (original[:,i] - w[:,i]) * R[i,j] / R[j,j], where w begins as {@code working}, which stays as it is.
     *
     * @param original (k * rows) x n, F32: the weights in the order of the sweep
     * @param working (k * rows) x n, F32: the same with the errors of all columns before {@code from}
     * @param factor (k * n) x n, F32, from {@link #factor}
     * @return w, (k * rows) x (to - from), F32
     */
    DeviceMatrix relax(DeviceMatrix original, DeviceMatrix working, DeviceMatrix factor, int from, int to);

    /**
     * The sweep of one block of columns [from, to) over all rows. For each column i in turn: the code nearest to
     * working[:,i] on its grid; then for every later column j
     * working[:,j] += (original[:,i] - quantized[:,i]) * R[i,j] / R[j,j], for those behind the block as one product.
     *
     * @param original (k * rows) x n, F32: the weights in the order of the sweep
     * @param working (k * rows) x n, F32: the conditional optimum of each column given the columns before it; updated from column
     *     {@code from} on
     * @param factor (k * n) x n, F32, from {@link #factor}
     * @param groupOfColumn k times: for each column of the block, its group
     * @param codes (k * rows) x n, written at columns [from, to)
     */
    void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            Grids grids,
            int[][] groupOfColumn,
            DeviceMatrix codes);

    /**
     * The sweep of a block of whole groups, each a run of {@code length} columns, of which the grid is chosen when the sweep reaches it:
     * {@link #relax}, {@link #search} and {@link #sweep} of one group after the other. Sums may be in another order.
     *
     * @param importance k x (to - from), F32, of a squared error in each column of the block
     * @param groupOfColumn k times: for each column of the block, its group
     * @param grids read where groups were chosen before, and written at those of the block
     * @param codes (k * rows) x n, written at columns [from, to)
     */
    default void sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            DeviceMatrix importance,
            GridSearch search,
            int length,
            int[][] groupOfColumn,
            Grids grids,
            DeviceMatrix codes) {
        for (int begin = from, end; begin < to; begin = end) {
            end = Math.min(to, begin + length);
            int first = begin - from;
            int behind = end - from;
            int[][] group = new int[groupOfColumn.length][];
            int[][] ofColumn = new int[groupOfColumn.length][];
            int[][] columns = new int[groupOfColumn.length][];
            for (int m = 0; m < group.length; m++) {
                ofColumn[m] = Arrays.copyOfRange(groupOfColumn[m], first, behind);
                group[m] = new int[] {ofColumn[m][0]};
                columns[m] = IntStream.range(first, behind).toArray();
            }
            try (DeviceMatrix relaxed = relax(original, working, factor, begin, end);
                    DeviceMatrix weighing = columns(importance, columns)) {
                search(relaxed, weighing, search, 0, length, group, grids);
            }
            sweep(original, working, factor, begin, end, grids, ofColumn, codes);
        }
    }

    /**
     * One round of coordinate descent over the columns [from, to) of a block, which lie in one group: in turn each column
     * gets the code that is best while all other columns of the row stay, quantized + gradient / H[i,i] rounded to the
     * grid. Then, if asked for, each row's scale of the group: s, the one that minimizes the loss for the new codes of the
     * block, were it free, is rounded to what is stored (a multiple of the unit where grids have {@link Grids.Multiples}),
     * and taken if that lies nearer to s than the scale that there is: the loss is a parabola about s. Where all codes
     * stand for zero the scale stays. The gradient itself is only read.
     *
     * @param gradient (k * rows) x n, F32: (original - quantized) H
     * @param hessian (k * n) x n, F32
     * @param grids read, and scales written at {@code group}
     * @param codes (k * rows) x n, read and written at columns [from, to)
     * @param stored what fitted scales are rounded to; null where scales stay
     * @return (k * rows) x (to - from), F32: quantized before - quantized after, whose product with H[from:to, :] the gradient
     *     grows by
     */
    DeviceMatrix descend(
            DeviceMatrix gradient,
            DeviceMatrix hessian,
            int from,
            int to,
            Grids grids,
            int group,
            DeviceMatrix codes,
            @Nullable StoredScale stored);

    /**
     * The nearest codes on given grids.
     *
     * @param weights rows x n, F32
     * @param groupOfColumn n, of every row
     * @return codes, rows x n
     */
    DeviceMatrix round(DeviceMatrix weights, Grids grids, int[] groupOfColumn);

    /**
     * weights - quantized.
     *
     * @param weights rows x n, F32
     * @param codes rows x n
     * @param groupOfColumn n, of every row
     * @return rows x n, F32
     */
    DeviceMatrix error(DeviceMatrix weights, DeviceMatrix codes, Grids grids, int[] groupOfColumn);

    /**
     * sum += a * b[from:to, :] about as exactly as fp32 sums are, of a stack for each member.
     *
     * @param members k
     * @param a (k * rows) x (to - from), F32
     * @param b (k * n) x cols, F32
     * @param sum (k * rows) x cols, F32
     */
    void addProduct(int members, DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum);

    /**
     * tr(E (H - damping I) ET), summed in double.
     *
     * @param error E, (k * rows) x n, F32
     * @param product E H, (k * rows) x n, F32
     * @param damping k
     * @return k
     */
    double[] loss(DeviceMatrix error, DeviceMatrix product, double... damping);
}
