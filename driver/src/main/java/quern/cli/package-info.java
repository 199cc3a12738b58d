/**
 * The command line.
 */
@NullMarked
package quern.cli;

import org.jspecify.annotations.NullMarked;
