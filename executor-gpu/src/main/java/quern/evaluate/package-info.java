/**
 * How good a model is on some tokens: perplexity, and how far its predictions are from those of a reference. Sums are kept by
 * window, so that windows can be spread over tasks and added in their order.
 */
@NullMarked
package quern.evaluate;

import org.jspecify.annotations.NullMarked;
