/**
 * The format {@code fp8}: 8-bit floats in blocks of 128 x 128, as DeepSeek V3 is published and transformers, vLLM, SGLang and TGI read.
 *
 * <pre>
 * P.weight            F8_E4M3 [N, K]
 * P.weight_scale_inv  F32 [N / 128, K / 128]     in spite of its name a factor: the largest magnitude of the block / 448
 *
 * W[n, k] = weight[n, k] * weight_scale_inv[n / 128, k / 128]
 * </pre>
 *
 * Activations are quantized when the model runs, in groups of 128 of a token. N and K are multiples of 128: readers derive the size of a
 * block from the shapes. {@code modules_to_not_convert} names what is kept, the head among it.
 */
@NullMarked
package quern.format.fp8;

import org.jspecify.annotations.NullMarked;
