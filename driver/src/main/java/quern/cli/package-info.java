/**
 * The command line: arguments become immutable requests, and {@link quern.cli.Commands} carries them out. Nothing here needs
 * Spark, so that {@code --help} and every refused argument are answered at once.
 *
 * <p>Exit codes: 0 done, 1 it failed, 2 the user can mend it (one sentence on standard error, nothing half-written).
 */
@NullMarked
package quern.cli;

import org.jspecify.annotations.NullMarked;
