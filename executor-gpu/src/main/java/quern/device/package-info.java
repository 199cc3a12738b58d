/**
 * What computes. An axis: one file per device, one line in {@link quern.device.Devices}, one contract test. A device has
 * kernels for the forward pass and kernels for the solve; memory is a {@link quern.device.DeviceMatrix} that its owner closes.
 *
 * <p>A weight that is solved stays on the device from its upload until its codes, scales and zeros are taken: every loop over its
 * rows and columns is a kernel, among them the search of scales. What such a search tries is plain numbers, a
 * {@link quern.device.GridSearch} or a {@link quern.device.BlockSearch}; schemes and rules are the methods' own. Weights of one shape with Hessians of their own may be taken as a
 * stack, see {@link quern.device.SolveKernels}.
 */
@NullMarked
package quern.device;

import org.jspecify.annotations.NullMarked;
