/**
 * The demo model that travels in the jar: quern-stories-4m, a Llama of 3.7 million parameters with its own calibration and
 * evaluation text.
 */
@NullMarked
package quern.demo;

import org.jspecify.annotations.NullMarked;
