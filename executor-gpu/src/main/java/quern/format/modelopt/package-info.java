/**
 * The layouts of NVIDIA's ModelOpt, {@code FP8} and {@code NVFP4}, as vLLM reads them on GPUs.
 *
 * <h2>FP8</h2>
 *
 * <pre>
 * P.weight        F8_E4M3 [N, K]
 * P.weight_scale  F32 []          the largest magnitude over 448
 * P.input_scale   F32 []          that of the inputs, as calibration met them, over 448
 *
 * W[n, k] = weight[n, k] * weight_scale
 * </pre>
 *
 * vLLM joins q, k and v, and gate and up, and rounds them anew if their scales differ: linears that share an input have the same one
 * here.
 *
 * <h2>NVFP4</h2>
 *
 * <pre>
 * P.weight          U8 [N, K / 2]        E2M1, the even input in the lower half
 * P.weight_scale    F8_E4M3 [N, K / 16]
 * P.weight_scale_2  F32 []               the largest magnitude over 448 * 6: 1 / the divisor of compressed-tensors
 * P.input_scale     F32 []               that of the inputs over 448 * 6
 *
 * W[n, k] = code[n, k] * weight_scale[n, k / 16] * weight_scale_2
 * </pre>
 *
 * <h2>Keys and values</h2>
 *
 * {@code A.k_proj.k_scale} and {@code A.v_proj.v_scale}, F32 [], the largest magnitude over 448, with {@code kv_cache_scheme} in the
 * configuration. {@code ignore} has wildcards.
 */
@NullMarked
package quern.format.modelopt;

import org.jspecify.annotations.NullMarked;
