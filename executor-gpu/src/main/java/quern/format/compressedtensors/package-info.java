/**
 * The formats of compressed-tensors, the library of llm-compressor, read by vLLM, SGLang, TGI (symmetric only) and transformers:
 * {@code compressed-tensors} is its {@code pack-quantized}, integer weights; {@code compressed-tensors-int8} and {@code -fp8} its
 * {@code int-quantized} and {@code float-quantized}, a byte a weight and activations quantized as they come; {@code -nvfp4} and
 * {@code -mxfp4} its 4-bit floats.
 *
 * <h2>Tensors of packed integers</h2>
 *
 * For a linear {@code P} with K inputs and N outputs, b bits, group size g, G = K / g groups (one if the whole row shares a
 * scale); {@code P.weight} is gone, a bias stays as it was.
 *
 * <pre>
 * P.weight_packed      I32 [N, ceil(K b / 32)]   the codes of an output's inputs as a stream of bits along the row
 * P.weight_scale       the model's type [N, G]
 * P.weight_zero_point  I32 [ceil(N b / 32), G]   asymmetric only: the zeros of a group's outputs, a stream down the column
 * P.weight_shape       I64 [2]                   N, K
 * P.weight_g_idx       I32 [K]                   full act-order only: the group of every input
 *
 * W[n, k] = weight_scale[n, group of k] * (code[n, k] - zero[n, group of k])
 * </pre>
 *
 * The library thinks of signed numbers from -2^(b-1) and stores them plus 2^(b-1), which makes them the unsigned codes and
 * zeros of {@link quern.scheme.QuantizedLinear} again; without a {@code weight_zero_point} the zero is 2^(b-1). The words
 * are those of GPTQ v2, transposed.
 *
 * <h2>Tensors of bytes</h2>
 *
 * <pre>
 * P.weight        I8 or F8_E4M3 [N, K]    integers from -128 to 127; symmetric only
 * P.weight_scale  the model's type [N, 1]
 *
 * W[n, k] = weight[n, k] * weight_scale[n]
 * </pre>
 *
 * When the model runs, inputs are quantized a token at a time, with scales of their own; or, where calibration fixed it, with one scale
 * for all, {@code P.input_scale}, the model's type [1]: the largest magnitude over 448, or over 127.5 of integers, as llm-compressor
 * has it.
 *
 * <h2>Scales of keys and values</h2>
 *
 * <pre>
 * A.k_scale, A.v_scale  the model's type [1]   of the module A of an attention: the largest magnitude over 448
 * </pre>
 *
 * With {@code kv_cache_scheme} in the configuration, 8-bit floats with one scale. Keys are measured as they are kept, turned by
 * their positions.
 *
 * <h2>Tensors of 4-bit floats</h2>
 *
 * <pre>
 * P.weight_packed        U8 [N, K / 2]       E2M1, the even input in the lower half
 * P.weight_scale         F8_E4M3 [N, K / 16] nvfp4; U8 [N, K / 32], a power of two, 127 is 1: mxfp4
 * P.weight_global_scale  F32 [1]             nvfp4 only: a divisor, 448 * 6 / the largest weight
 *
 * W[n, k] = code[n, k] * (weight_scale[n, k / g] / weight_global_scale)
 * </pre>
 *
 * Weights only. vLLM joins q, k and v, and gate and up, and takes one divisor for all of them: linears that share an input have the same
 * one here.
 *
 * <h2>History and limits</h2>
 *
 * Streams are dense since 2026; until 2025 the library put floor(32 / b) codes into a word and left the rest empty, which
 * differs for 3 bits. Such files are told by their width and refused. Scales have the type of the model's weights (BF16,
 * F16, else F32), since loaders hold them in that type. {@code weight_g_idx} goes with {@code actorder: "group"}:
 * compressed-tensors 0.19 and vLLM 0.32 have removed it and refuse to load such a checkpoint, older releases read it.
 * The order {@code static} costs nothing and is as good: use it here. transformers 5.23.0 refuses asymmetric checkpoints
 * (5.17 to 5.22 load them). vLLM wants 4 or 8 bits (the newest 2 to 8 if symmetric).
 *
 * <h2>Configuration</h2>
 *
 * One {@code config_groups} entry for the class {@code Linear}; {@code ignore} names {@code lm_head} and what is kept, by
 * full names. Keys that the library does not know inside {@code weights} are refused by it, and {@code zp_dtype} by
 * releases before 2026, so only what a loader needs is written.
 */
@NullMarked
package quern.format.compressedtensors;

import org.jspecify.annotations.NullMarked;
