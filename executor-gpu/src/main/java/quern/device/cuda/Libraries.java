package quern.device.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import quern.device.DeviceException;

/**
 * cuBLAS and cuSOLVER, through the C layer of module native ({@code src/main/c}). Nothing here knows CUDA's majors: the layer
 * opens what the host has.
 *
 * <p>Conventions. Matrices are <b>row-major</b>, as everywhere in Quern; the layer turns them round for the libraries. A leading
 * dimension counts the elements from one row to the next. Every {@code long} named a, b, c, info, stream or workspace is an
 * address on the device (for a stream, its handle); device memory is aligned to 16 bytes. Calls are asynchronous on the stream of
 * {@link #open}. A handle is used by one thread at a time, with the context current in which it was opened.
 *
 * <p>Errors: {@link DeviceException} that names the library's call, its text and its number; a size that the library's 32 bits
 * cannot say is refused before the call.
 *
 * <p>Determinism: cuBLAS keeps the same bits for the same version, architecture and number of multiprocessors, as long as a handle
 * has one stream and its own workspace; atomics stay off, and cuSOLVER is set to deterministic results.
 */
final class Libraries {
    private static boolean loaded;

    private Libraries() {}

    /**
     * Loads the C layer out of the jar, once; not yet the libraries themselves.
     *
     * @throws DeviceException where this build or this platform has none
     */
    static synchronized void load() {
        if (loaded) {
            return;
        }
        String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch", "").replace("amd64", "x86_64");
        String name = "/quern/native/" + os + "-" + arch + "/libquern.so";
        try (InputStream library = Libraries.class.getResourceAsStream(name)) {
            if (library == null) {
                throw new DeviceException("Cannot reach cuBLAS and cuSOLVER: this build has no " + name
                        + " (build Quern on Linux with CMake and a C++ compiler installed)");
            }
            Path file = Files.createTempFile("libquern", ".so");
            try {
                Files.copy(library, file, StandardCopyOption.REPLACE_EXISTING);
                System.load(file.toString());
            } finally {
                Files.delete(file); // what is loaded stays loaded
            }
        } catch (IOException | LinkageError e) {
            throw new DeviceException("Cannot load " + name + ": " + e.getMessage(), e);
        }
        loaded = true;
    }

    /**
     * Opens the pair of libraries and a handle of each on a stream. The context of the stream must be current.
     *
     * @param major 13 or 12 for the libraries of that CUDA, 0 for 13 if they are there, else 12; the first that is opened stays
     *     for the life of the process
     * @param stream a CUstream; 0 for the default stream
     * @param workspace memory of the device, aligned to 256 bytes, that stays the handle's own until {@link #close}
     * @param workspaceBytes 32 MiB are what cuBLAS asks for on an H100
     * @return the handle for all other calls
     * @throws DeviceException which names each file that was tried, with the linker's reason
     */
    static native long open(int major, long stream, long workspace, long workspaceBytes);

    /** Closes both handles; what they still have to do on the stream is waited for by the library. */
    static native void close(long libraries);

    /** For example {@code cublas-13.1.0/cusolver-12.0.4}. */
    static native String versions(long libraries);

    /**
     * C = alpha op(A) op(B) + beta C with bf16 operands and fp32 sums (CUBLAS_COMPUTE_32F): products are exact, sums are rounded in
     * matrix units' own way and order.
     *
     * @param transposeA whether op(A) is A^T; then A is k x m, else m x k
     * @param transposeB whether op(B) is B^T; then B is n x k, else k x n
     * @param c m x n, F32; not read if beta is 0
     */
    static native void multiplyBf16(
            long libraries,
            boolean transposeA,
            boolean transposeB,
            long m,
            long n,
            long k,
            float alpha,
            long a,
            long lda,
            long b,
            long ldb,
            float beta,
            long c,
            long ldc);

    /** As {@link #multiplyBf16}, with C in bf16: rounded once, when the whole sum is there. */
    static native void multiplyBf16ToBf16(
            long libraries,
            boolean transposeA,
            boolean transposeB,
            long m,
            long n,
            long k,
            float alpha,
            long a,
            long lda,
            long b,
            long ldb,
            float beta,
            long c,
            long ldc);

    /**
     * As {@link #multiplyBf16}, all F32, without TF32 and without emulation by bf16: CUBLAS_COMPUTE_32F_PEDANTIC, since the plain
     * compute type leaves that choice to the environment of the process.
     */
    static native void multiplyF32(
            long libraries,
            boolean transposeA,
            boolean transposeB,
            long m,
            long n,
            long k,
            float alpha,
            long a,
            long lda,
            long b,
            long ldb,
            float beta,
            long c,
            long ldc);

    /** {@link #multiplyF32} of count matrices; strides count elements from one matrix to the next, 0 for always the same operand. */
    static native void multiplyF32Batched(
            long libraries,
            boolean transposeA,
            boolean transposeB,
            long m,
            long n,
            long k,
            float alpha,
            long a,
            long lda,
            long strideA,
            long b,
            long ldb,
            long strideB,
            float beta,
            long c,
            long ldc,
            long strideC,
            long count);

    /** Bytes that {@link #cholesky} needs: on the device, on the host. */
    static native long[] choleskyBytes(long libraries, long n, long a, long lda);

    /**
     * A = L L^T in place (cusolverDnXpotrf): A is n x n, F32; of the symmetric matrix only the lower triangle is read, and written
     * with L. The other half is left as it is.
     *
     * @param deviceBuffer on the device, of at least the bytes that {@link #choleskyBytes} says
     * @param hostBuffer an address on the host, kept until the stream has been waited for; 0 where no bytes are needed
     * @param info an int on the device: 0, or the order of the leading minor that is not positive definite
     */
    static native void cholesky(
            long libraries,
            long n,
            long a,
            long lda,
            long deviceBuffer,
            long deviceBytes,
            long hostBuffer,
            long hostBytes,
            long info);

    /** Bytes that {@link #invertTriangle} needs: on the device, on the host. */
    static native long[] invertTriangleBytes(long libraries, long n, long a, long lda);

    /**
     * A = inv(A) in place for a lower triangular A, n x n, F32 (cusolverDnXtrtri); the other half is left as it is. Buffers as of
     * {@link #cholesky}.
     *
     * @param info an int on the device: 0, or the place (from 1) of a zero on the diagonal
     */
    static native void invertTriangle(
            long libraries,
            long n,
            long a,
            long lda,
            long deviceBuffer,
            long deviceBytes,
            long hostBuffer,
            long hostBytes,
            long info);
}
