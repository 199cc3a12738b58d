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
 * <p>A GPU is one process's, see {@link quern.device.cuda.Claim}. Whatever thread calls, its context is made current first. A device
 * has one stream, one handle of each library with its own workspace, and one arena: so no result depends on what other threads or other
 * devices of the process do, and a block of memory can be given out again as soon as it is closed.
 *
 * <p>Not yet run on a GPU. The contract of every device, whole runs and the error paths pass on libraries that play a GPU
 * ({@code native/src/test/fake}): the tests named {@code FakeGpu...}. On a machine with a GPU {@code GpuDeviceTest} says how the contract
 * is run there.
 */
@NullMarked
package quern.device.cuda;

import org.jspecify.annotations.NullMarked;
