/**
 * The layouts of AMD's Quark, {@code quark-fp8} and {@code quark-int8}, as amd-quark 0.13 and vLLM read them: a byte a weight and a scale a row.
 *
 * <pre>
 * P.weight             F8_E4M3 or I8 [N, K]
 * P.weight_scale       F32 [N], of Quark itself in the model's type
 * P.input_scale        F32 []      where calibration fixed it: the largest magnitude of the inputs over 448, or over 127.5
 * P.weight_zero_point  I8 [N]      of integers: 0
 * P.input_zero_point   I8 []       of integers: 0
 *
 * W[n, k] = weight[n, k] * weight_scale[n]
 * </pre>
 *
 * {@code global_quant_config} says of weights {@code per_channel} along axis 0, of inputs {@code per_tensor} where their scale is
 * fixed, else {@code per_channel} and {@code is_dynamic}: a scale a token. Quark's parser asks for
 * {@code observer_cls}, {@code round_method} and {@code scale_type} as well, and its loader for zero points; vLLM asks for
 * {@code export}, and knows no linears whose weights alone are quantized.
 */
@NullMarked
package quern.format.quark;

import org.jspecify.annotations.NullMarked;
