package quern.device.cuda;

import java.nio.ByteBuffer;
import quern.device.DeviceException;
import quern.device.DeviceMatrix;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** From a sum of products to the factor of a damped Hessian: orders by our kernels, factors and inverses by cuSOLVER. */
final class Factorization {
    private final CudaDevice device;
    private final GridKernels kernels;

    Factorization(CudaDevice device, GridKernels kernels) {
        this.device = device;
        this.kernels = kernels;
    }

    float[] diagonal(CudaMatrix matrix) {
        try (CudaMatrix diagonal = device.allocate(1, matrix.rows(), DType.F32)) {
            kernels.diagonal(matrix, diagonal, 0);
            return device.download(diagonal).values();
        }
    }

    /** n x n: the sum in another order, over the tokens, with another diagonal. */
    CudaMatrix hessian(CudaMatrix sum, long tokens, int[] order, float[] diagonal) {
        int n = order.length;
        return device.filled(n, n, DType.F32, h -> {
            try (Arena.Block numbers = device.numbers(order);
                    Arena.Block noneDead = device.cleared(n);
                    DeviceMatrix damped = device.upload(new Matrix(1, n, diagonal), DType.F32)) {
                kernels.orderHessian(sum, numbers.address(), noneDead.address(), tokens, h);
                int each = Float.BYTES;
                device.copyRuns(device.own(damped).address(), each, h.address(), each * (n + 1L), each, n);
            }
        });
    }

    /** With J the reversal of the order: J H J = L LT, hence H = (J L J) (J L J)T, and J L J is upper. */
    boolean factor(CudaMatrix h) {
        int n = h.rows();
        try (CudaMatrix reversed = device.allocate(n, n, DType.F32);
                CudaMatrix diagonal = device.allocate(1, n, DType.F32);
                Arena.Block told = device.cleared(2 * Integer.BYTES)) {
            kernels.reverseSymmetric(h, reversed);
            device.products().cholesky(reversed, told.address());
            kernels.reverseLower(reversed, h);
            kernels.diagonal(h, diagonal, told.address() + Integer.BYTES);
            ByteBuffer numbers = device.transfers().download(told.address(), 2 * Integer.BYTES);
            if (numbers.getInt(0) < 0) {
                throw new DeviceException("cusolverDnXpotrf refused its argument " + -numbers.getInt(0));
            }
            return numbers.getInt(0) == 0 && numbers.getInt(Integer.BYTES) == 0;
        }
    }

    /** inv(H) = inv(R)T inv(R): the squares of the columns of inv(R), which is found as the transposed inverse of RT, a lower triangle. */
    float[] inverseDiagonal(CudaMatrix r) {
        int n = r.rows();
        try (CudaMatrix lower = device.filled(n, n, DType.F32, to -> kernels.transpose(r, to));
                Arena.Block told = device.cleared(Integer.BYTES)) {
            device.products().invertTriangle(lower, told.address());
            int info =
                    device.transfers().download(told.address(), Integer.BYTES).getInt(0);
            if (info != 0) {
                throw new DeviceException("cusolverDnXtrtri could not invert a triangle: info " + info);
            }
            try (CudaMatrix inverse = device.filled(n, n, DType.F32, to -> kernels.transpose(lower, to));
                    CudaMatrix sums = device.filled(1, n, DType.F32, to -> kernels.columnSquares(inverse, to))) {
                return device.download(sums).values();
            }
        }
    }
}
