/**
 * Calibration activations as Arrow record batches. The only package that sees Arrow.
 */
@NullMarked
package quern.calibrate;

import org.jspecify.annotations.NullMarked;
