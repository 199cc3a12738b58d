/**
 * The tensors of optimum-quanto, which only the library itself reads.
 *
 * <h2>{@code qint8} and {@code qfloat8_e4m3fn}</h2>
 *
 * <pre>
 * P.weight._data   I8 or F8_E4M3 [N, K]
 * P.weight._scale  the model's type [N, 1]
 * P.input_scale    the model's type []      1: activations stay as they are
 * P.output_scale   the model's type []      1
 *
 * W[n, k] = _data[n, k] * _scale[n]
 * </pre>
 *
 * <h2>{@code qint4} and {@code qint2}</h2>
 *
 * Of b bits, in groups of g inputs; the codes are a matrix of R = N K / g rows, one a group, by g. The library's linears choose g: 128, or
 * less by 32, 64 or 96 where that divides K and 128 does not, and the whole row where none does or K is at most 128.
 *
 * <pre>
 * P.weight._data._data  U8 [ceil(R b / 8), g]    code [i] in the lowest bits, [i + step] above, ..., step = ceil(R b / 8)
 * P.weight._scale       the model's type [R, 1]
 * P.weight._shift       the model's type [R, 1]
 * P.weight._size        I64 [2]                  N, K; ours: the library takes them from the model, and leaves this one
 * P.input_scale, P.output_scale                  as above
 *
 * W = code * _scale - _shift
 * </pre>
 *
 * A zero point becomes a shift, which its type rounds: in BF16 by a seventeenth of a step at most. Without {@code _size} nothing says how
 * many groups make a row, so what the library wrote itself is not read.
 *
 * <h2>Beside them</h2>
 *
 * {@code quanto_qmap.json} names each quantized linear and its kind; the library writes no {@code quantization_config}. Here there is
 * one, since transformers, which does not read this format, would otherwise load random linears without a word.
 */
@NullMarked
package quern.format.quanto;

import org.jspecify.annotations.NullMarked;
