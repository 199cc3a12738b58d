/**
 * {@code fbgemm_fp8}, which transformers (on a GPU of compute capability 9.0) and vLLM read: 8-bit floats with a scale a row.
 *
 * <pre>
 * P.weight        F8_E4M3 [N, K]
 * P.weight_scale  F32 [N, 1]      the largest magnitude of a row over 448
 *
 * W[n, k] = weight[n, k] * weight_scale[n]
 * </pre>
 *
 * When the model runs, inputs are quantized a token at a time; {@code activation_scale_ub} of the configuration bounds the magnitude
 * that their scales reach. vLLM asks for it and for {@code modules_to_not_convert}.
 */
@NullMarked
package quern.format.fbgemm;

import org.jspecify.annotations.NullMarked;
