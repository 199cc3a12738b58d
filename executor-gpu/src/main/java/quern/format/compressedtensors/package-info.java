/**
 * The format {@code compressed-tensors}, as {@code pack-quantized}: integer weights of llm-compressor, read by vLLM, SGLang,
 * TGI (symmetric only) and transformers.
 *
 * <h2>Tensors</h2>
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
