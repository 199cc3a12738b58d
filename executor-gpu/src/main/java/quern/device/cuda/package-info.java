/**
 * The CUDA device. It owns everything that knows of a GPU: the context, memory, streams and kernel launches through JCuda's
 * driver API, and {@link quern.device.cuda.Libraries}, the way to cuBLAS and cuSOLVER.
 *
 * <p>On the machine there must be the driver ({@code libcuda.so.1}) and the two libraries of one CUDA major version, found as
 * the dynamic linker finds them ({@code LD_LIBRARY_PATH}, {@code ldconfig}):
 *
 * <table>
 * <caption>Names of the libraries</caption>
 * <tr><th>CUDA</th><th>cuBLAS</th><th>cuSOLVER</th></tr>
 * <tr><td>13</td><td>libcublas.so.13</td><td>libcusolver.so.12</td></tr>
 * <tr><td>12</td><td>libcublas.so.12</td><td>libcusolver.so.11</td></tr>
 * </table>
 *
 * <p>Kernels and the C layer lie in the jar of module native: {@code quern/native/kernels.fatbin},
 * {@code quern/native/linux-x86_64/libquern.so}, and {@code quern/native/native.properties}, which says what was built
 * ({@code layer} and {@code kernels}, each {@code present} or {@code absent}).
 *
 * <p>A GPU is one process's, see {@link quern.device.cuda.Claim}. Whatever thread asks, the context is made current first; a device
 * computes on one stream, with a handle of the libraries and a workspace of its own, so that no result depends on what other threads
 * do.
 */
@NullMarked
package quern.device.cuda;

import org.jspecify.annotations.NullMarked;
