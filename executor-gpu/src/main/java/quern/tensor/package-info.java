/**
 * Element types, names and shapes of tensors, and dense float matrices. Depends on nothing else of ours.
 */
@NullMarked
package quern.tensor;

import org.jspecify.annotations.NullMarked;
