/**
 * The bytes on disk. An axis: one package per format, one line in {@link quern.format.Formats}, one contract test. A format
 * sees a {@code QuantizedLinear} and never a device.
 */
@NullMarked
package quern.format;

import org.jspecify.annotations.NullMarked;
