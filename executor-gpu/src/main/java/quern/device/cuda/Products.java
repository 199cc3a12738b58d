package quern.device.cuda;

import quern.device.DeviceException;
import quern.tensor.DType;

/**
 * Matrix products of one device, by cuBLAS, on its stream. The libraries' handle is one thread's at a time, and has one stream and
 * a workspace of its own, so a product's bits depend on nothing beside it.
 */
final class Products implements AutoCloseable {
    /** What cuBLAS asks for on the newest architectures. */
    private static final long WORKSPACE = 32L << 20;

    private final Gpu gpu;
    private final long libraries;

    Products(Gpu gpu, Stream stream, Arena arena) {
        this.gpu = gpu;
        Libraries.load();
        gpu.enter();
        libraries = Libraries.open(0, stream.number(), arena.allocate(WORKSPACE).address(), WORKSPACE);
    }

    /** For example {@code cublas-13.1.0/cusolver-12.0.4}. */
    String versions() {
        return Libraries.versions(libraries);
    }

    /**
     * C = op(A) op(B) + beta C, sums in fp32.
     *
     * @param operands the type of A and B, BF16 or F32
     * @param result the type of C: F32; or, of operands in BF16, BF16
     * @param a address of A, m x k, or k x m if transposed
     * @param lda elements from one row of A to the next
     * @param b address of B, k x n, or n x k if transposed
     * @param c address of C, m x n
     */
    synchronized void multiply(
            DType operands,
            DType result,
            boolean transposeA,
            boolean transposeB,
            long m,
            long n,
            long k,
            long a,
            long lda,
            long b,
            long ldb,
            float beta,
            long c,
            long ldc) {
        if (m == 0 || n == 0 || k == 0) {
            throw new IllegalArgumentException("A product of " + m + " x " + k + " with " + k + " x " + n);
        }
        call(() -> {
            if (operands == DType.F32) {
                Libraries.multiplyF32(libraries, transposeA, transposeB, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
            } else if (result == DType.F32) {
                Libraries.multiplyBf16(libraries, transposeA, transposeB, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
            } else {
                Libraries.multiplyBf16ToBf16(
                        libraries, transposeA, transposeB, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
            }
        });
    }

    private void call(Runnable library) {
        gpu.enter();
        try {
            library.run();
        } catch (DeviceException e) {
            throw gpu.because(e);
        }
    }

    @Override
    public synchronized void close() {
        if (!gpu.isLost()) {
            gpu.enter();
            Libraries.close(libraries);
        }
    }
}
