package quern.device;

import org.jspecify.annotations.Nullable;
import quern.tensor.StepFunction;

/**
 * The steps of a GPTQ solve on the device that holds the matrices. Rows of a weight are independent of each other.
 */
public interface SolveKernels {
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
     * The sweep of one block of columns [from, to) over all rows. For each column i in turn: the code nearest to
     * working[:,i] on the given grid; then for every later column j of the block
     * working[:,j] += (original[:,i] - quantized[:,i]) * R[i,j] / R[j,j]. Writes codes and, into {@code error}, the
     * differences original - quantized.
     *
     * @param original rows x n, F32: the weights in the order of the sweep
     * @param working rows x n, F32: the conditional optimum of each column given the columns before it; columns of the
     *     block are updated
     * @param factor n x n, F32, from {@link #factor}
     * @param error rows x (to - from), F32, written
     * @param grid scales and zeros for each column of the block
     * @param codes rows x n, written at columns [from, to)
     * @return the loss of the block, sum over rows and columns of ((working - quantized) * R[i,i])^2
     */
    double sweep(
            DeviceMatrix original,
            DeviceMatrix working,
            DeviceMatrix factor,
            int from,
            int to,
            DeviceMatrix error,
            Grid grid,
            byte[] codes);

    /**
     * working[:, to:] += error * R[from:to, to:] / diag(R)[to:], the part of the sweep's update that lies behind the block.
     */
    void propagate(DeviceMatrix error, DeviceMatrix factor, int from, int to, DeviceMatrix working);

    /**
     * One round of coordinate descent over the columns [from, to) of a block, which lie in one group: in turn each column
     * gets the code that is best while all other columns of the row stay, quantized + gradient / H[i,i] rounded to the
     * grid. The gradient itself is only read: the caller updates it for what the block has changed.
     *
     * @param gradient rows x n, F32: (original - quantized) H
     * @param hessian n x n, F32
     * @param grid scales and zeros for each column of the block
     * @param codes rows x n, read and written at columns [from, to)
     * @return for each row the scale that minimizes the loss for the new codes of the block, were it free; NaN where all
     *     of them stand for zero
     */
    float[] descend(DeviceMatrix gradient, DeviceMatrix hessian, int from, int to, Grid grid, byte[] codes);

    /**
     * sum += a * b[from:to, :] in fp32.
     *
     * @param a rows x (to - from), F32
     * @param b n x cols, F32
     * @param sum rows x cols, F32
     */
    void addProduct(DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum);

    /**
     * The grid of each column of a block.
     *
     * @param levels what each code stands for; null where that is the code itself
     * @param lowest smallest code
     * @param highest largest code
     * @param groupOfColumn for each column of the block, its group
     * @param groups groups of a row
     * @param scales rows x groups
     * @param zeros rows x groups
     */
    record Grid(
            @Nullable StepFunction levels,
            int lowest,
            int highest,
            int[] groupOfColumn,
            int groups,
            float[] scales,
            float[] zeros) {}
}
