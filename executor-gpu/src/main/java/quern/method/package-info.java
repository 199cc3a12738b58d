/**
 * How codes are chosen, one linear at a time. An axis: one file per method, one line in {@link quern.method.Methods}, one
 * contract test. A method sees a weight and a Hessian and returns a {@code QuantizedLinear}; it never sees bytes.
 *
 * <p>Where inputs have drifted from those in full precision, what codes are chosen for is not the weight but
 * {@link quern.method.LayerTarget}; losses are then those of the target.
 *
 * <p>Linears of several sites that are alike, as those of experts, may be taken as a {@link quern.method.Method.Batch}, which gives the bits
 * that each of them has alone.
 */
@NullMarked
package quern.method;

import org.jspecify.annotations.NullMarked;
