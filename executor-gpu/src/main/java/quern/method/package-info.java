/**
 * How codes are chosen, one linear at a time. An axis: one file per method, one line in {@link quern.method.Methods}, one
 * contract test. A method sees a weight and a Hessian and returns a {@code QuantizedLinear}; it never sees bytes.
 */
@NullMarked
package quern.method;

import org.jspecify.annotations.NullMarked;
