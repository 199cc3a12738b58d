/**
 * The CPU device: oneDNN and LAPACK where their natives exist, plain Java everywhere. The plain path is the reference.
 */
@NullMarked
package quern.device.cpu;

import org.jspecify.annotations.NullMarked;
