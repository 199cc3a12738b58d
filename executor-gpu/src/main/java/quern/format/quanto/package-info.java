/**
 * The tensors of optimum-quanto, {@code qint8} and {@code qfloat8_e4m3fn}, which only the library itself reads.
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
 * {@code quanto_qmap.json} beside them names each quantized linear and its kind; the library writes no {@code quantization_config}.
 * Here there is one, since transformers, which does not read this format, would otherwise load random linears without a word. Its
 * {@code qint4} and {@code qint2} are not written: groups are rows of a matrix there, and nothing in the file says how many make a row
 * of the weight.
 */
@NullMarked
package quern.format.quanto;

import org.jspecify.annotations.NullMarked;
