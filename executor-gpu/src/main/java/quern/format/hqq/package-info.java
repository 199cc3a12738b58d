/**
 * The format {@code hqq}: integers with scales and zero points in floats, as the library hqq stores them in safetensors, for groups along
 * the rows (its axis 1).
 *
 * <h2>Tensors</h2>
 *
 * For a linear {@code P} with K inputs and N outputs, b bits, group size g; the codes are a matrix of R = N K / g rows, one a group, by g.
 *
 * <pre>
 * P.W_q    U8 [R / (8 / b), g]   b = 8, 4, 2, 1: code [i] in the highest bits, [i + step] below, ..., step = R b / 8
 *          I32 [ceil(R / 10), g] b = 3: ten codes a word, [i] in bits 27 and up, [i + step] in 24 and up, ..., step = ceil(R / 10)
 * P.scale  the model's type [R, 1]
 * P.zero   the model's type [R, 1]
 * P.shape  I64 [2]               N, K
 *
 * W = (code - zero) * scale
 * </pre>
 *
 * and what the library wants to know of them, a tensor each: {@code nbits}, {@code axis} and {@code group_size} as I32, booleans as U8,
 * words as the bytes of their letters.
 *
 * <h2>Limits</h2>
 *
 * One bit is for models that are trained further: scales by the range reach too far for two values (KL of the demo 4.9).
 *
 * Read by the library, module by module ({@code HQQLinear.load_state_dict}), and by transformers 4. transformers 5 knows the name
 * {@code hqq}, does not load these tensors and leaves the linears random, without an error.
 */
@NullMarked
package quern.format.hqq;

import org.jspecify.annotations.NullMarked;
