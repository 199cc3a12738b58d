/**
 * The flow: what happens to one part and one site, and the runner that carries a plan out in one process. The Spark runner
 * calls the same functions and must write the same bytes.
 */
@NullMarked
package quern.run;

import org.jspecify.annotations.NullMarked;
