/**
 * What computes. An axis: one file per device, one line in {@link quern.device.Devices}, one contract test. A device has
 * kernels for the forward pass and kernels for the solve; memory is a {@link quern.device.DeviceMatrix} that its owner closes.
 */
@NullMarked
package quern.device;

import org.jspecify.annotations.NullMarked;
