/**
 * Everything decided before a tensor is read.
 */
@NullMarked
package quern.plan;

import org.jspecify.annotations.NullMarked;
