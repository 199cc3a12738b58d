/**
 * Model families as data: {@code config.json}, the architecture files, and the forward pass that interprets them.
 */
@NullMarked
package quern.model;

import org.jspecify.annotations.NullMarked;
