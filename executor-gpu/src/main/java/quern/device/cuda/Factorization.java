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

    /** inv(H) = inv(R)T inv(R): the squares of the columns of inv(R). */
    float[] inverseDiagonal(CudaMatrix r) {
        try (CudaMatrix inverse = inverse(r);
                CudaMatrix sums = device.filled(1, r.rows(), DType.F32, to -> kernels.columnSquares(inverse, to))) {
            return device.download(sums).values();
        }
    }

    /** B inv(H) = (B inv(R)T) inv(R). */
    CudaMatrix divide(CudaMatrix b, CudaMatrix r) {
        try (CudaMatrix inverse = inverse(r);
                CudaMatrix half = device.filled(b.rows(), b.cols(), DType.F32, to -> multiply(b, inverse, true, to))) {
            return device.filled(b.rows(), b.cols(), DType.F32, to -> multiply(half, inverse, false, to));
        }
    }

    private void multiply(CudaMatrix a, CudaMatrix b, boolean transposed, CudaMatrix product) {
        int n = b.cols();
        device.products()
                .multiply(
                        DType.F32,
                        DType.F32,
                        false,
                        transposed,
                        a.rows(),
                        n,
                        n,
                        a.address(),
                        n,
                        b.address(),
                        n,
                        0,
                        product.address(),
                        n);
    }

    /**
     * inv(R), found as the transposed inverse L of RT, a lower triangle. cuSOLVER may leave anything above it: J L J by its lower
     * triangle has zeros there, and so has J (J L J)T J, which is LT.
     */
    private CudaMatrix inverse(CudaMatrix r) {
        int n = r.rows();
        try (CudaMatrix lower = device.filled(n, n, DType.F32, to -> kernels.transpose(r, to));
                Arena.Block told = device.cleared(Integer.BYTES)) {
            device.products().invertTriangle(lower, told.address());
            int info =
                    device.transfers().download(told.address(), Integer.BYTES).getInt(0);
            if (info != 0) {
                throw new DeviceException("cusolverDnXtrtri could not invert a triangle: info " + info);
            }
            try (CudaMatrix reversed = device.filled(n, n, DType.F32, to -> kernels.reverseLower(lower, to));
                    CudaMatrix transposed = device.filled(n, n, DType.F32, to -> kernels.transpose(reversed, to))) {
                return device.filled(n, n, DType.F32, to -> kernels.reverseLower(transposed, to));
            }
        }
    }
}
