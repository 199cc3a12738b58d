/**
 * The layouts of AMD's Quark, {@code quark-fp8} and {@code quark-int8}, as vLLM reads them: a byte a weight and a scale a row.
 *
 * <pre>
 * P.weight        F8_E4M3 or I8 [N, K]
 * P.weight_scale  F32 [N]
 * P.input_scale   F32 []                where calibration fixed it: the largest magnitude of the inputs over 448, or over 127.5
 *
 * W[n, k] = weight[n, k] * weight_scale[n]
 * </pre>
 *
 * {@code global_quant_config} says of weights {@code per_channel} along axis 0, of inputs {@code per_tensor} where their scale is
 * fixed, else {@code per_channel} and {@code is_dynamic}: a scale a token. vLLM asks for {@code export}, and knows no linears whose
 * weights alone are quantized. What Quark's own parser asks for beyond that was not established.
 */
@NullMarked
package quern.format.quark;

import org.jspecify.annotations.NullMarked;
