/**
 * The format {@code eetq}: 8-bit integers with a scale a row, arranged as EETQ's product of 16-bit inputs and 8-bit weights reads them on GPUs
 * of compute capability 7.5 to 8.9, so that transformers loads them as they are.
 *
 * <pre>
 * P.weight         I8 [K, N]   bytes, see below
 * P.weight_scales  F16 [N]
 *
 * W[n, k] = (code[n, k] - 128) * weight_scales[n]
 * </pre>
 *
 * The bytes are not a matrix of K rows. With k = 16 a + r, and p(r) the place of r in 0 1 8 9 2 3 10 11 4 5 12 13 6 7 14 15,
 *
 * <pre>
 * k' = 16 a + p(r)
 * at = 2 K (n / 2) + 128 (k' / 64) + 64 (n % 2) + k' % 64     two outputs side by side, 64 inputs at a time
 * </pre>
 *
 * is where code[n, k] stands, and of each four bytes the second and the third change places. Nothing in a file says for which GPU it was
 * arranged: for others, this one is of no use.
 */
@NullMarked
package quern.format.eetq;

import org.jspecify.annotations.NullMarked;
