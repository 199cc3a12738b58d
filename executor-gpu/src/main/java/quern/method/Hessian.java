package quern.method;

import quern.tensor.Matrix;

/**
 * The sum of x xT over calibration tokens, and their number. Divided once, at the end.
 *
 * @param sum n x n, symmetric
 * @param tokens how many x were summed
 */
public record Hessian(Matrix sum, long tokens) {}
