package quern.device.cuda;

import quern.device.DeviceException;
import quern.tensor.DType;

/**
 * Matrix products of one device by cuBLAS, and factorizations by cuSOLVER, on its stream. The libraries' handle is one thread's at a time, and has one stream and
 * a workspace of its own, so a product's bits depend on nothing beside it.
 */
final class Products implements AutoCloseable {
    /** What cuBLAS asks for on the newest architectures. */
    private static final long WORKSPACE = 32L << 20;

    private final Gpu gpu;
    private final Stream stream;
    private final Arena arena;
    private final long libraries;

    Products(Gpu gpu, Stream stream, Arena arena) {
        this.gpu = gpu;
        this.stream = stream;
        this.arena = arena;
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

    /**
     * A = L L^T in place, of a symmetric A by its lower triangle, which becomes L; waits until it is done.
     *
     * @param a n x n, F32
     * @param info address of an int: 0, or the order of the leading minor that is not positive definite
     */
    synchronized void cholesky(CudaMatrix a, long info) {
        long n = a.rows();
        long[] bytes = {0, 0};
        call(() -> System.arraycopy(Libraries.choleskyBytes(libraries, n, a.address(), n), 0, bytes, 0, 2));
        withBuffers(
                bytes,
                (device, host) ->
                        Libraries.cholesky(libraries, n, a.address(), n, device, bytes[0], host, bytes[1], info));
    }

    /**
     * A = inv(A) in place for a lower triangular A; waits until it is done.
     *
     * @param info address of an int: 0, or the place of a zero on the diagonal
     */
    synchronized void invertTriangle(CudaMatrix a, long info) {
        long n = a.rows();
        long[] bytes = {0, 0};
        call(() -> System.arraycopy(Libraries.invertTriangleBytes(libraries, n, a.address(), n), 0, bytes, 0, 2));
        withBuffers(
                bytes,
                (device, host) ->
                        Libraries.invertTriangle(libraries, n, a.address(), n, device, bytes[0], host, bytes[1], info));
    }

    private interface Buffered {
        void call(long device, long host);
    }

    private void withBuffers(long[] bytes, Buffered library) {
        try (Arena.Block device = arena.allocate(bytes[0]);
                HostMemory host = new HostMemory(gpu, bytes[1])) {
            call(() -> library.call(device.address(), host.address()));
            stream.settle();
        }
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
