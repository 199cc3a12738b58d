/**
 * The format {@code awq}, in its layout {@code gemm}: 4-bit integers with zero points, as AutoAWQ writes it and vLLM, SGLang, TGI,
 * LoRAX and, through GPTQModel, transformers read it. What a method called AWQ does to weights before they are rounded is no part of it.
 *
 * <h2>Tensors</h2>
 *
 * For a linear {@code P} with K inputs and N outputs, group size g, G = K / g groups; {@code P.weight} is gone, a bias stays as it was.
 *
 * <pre>
 * P.qweight  I32 [K, N / 8]  eight outputs in a word: that of output 8 c + ORDER[i] at the bits 4 i and up
 * P.qzeros   I32 [G, N / 8]  the same of the zeros, as they are (GPTQ's first format stores them less one)
 * P.scales   F16 [G, N]
 *
 * W[n, k] = scales[k / g, n] * (code[n, k] - zero[n, k / g])      ORDER = 0 2 4 6 1 3 5 7
 * </pre>
 *
 * <h2>Limits</h2>
 *
 * There is no index of groups, so no full act-order; N is a multiple of 32. Kernels want groups of 32, 64 or 128. A symmetric
 * linear is stored with its zero of 8 everywhere, since readers expect {@code zero_point: true}.
 *
 * <h2>Configuration</h2>
 *
 * {@code modules_to_not_convert} names what is kept. vLLM and others look for these names as parts of a module's name: a kept
 * {@code mlp.gate} also keeps {@code mlp.gate_proj}, so a layer that has both is refused.
 */
@NullMarked
package quern.format.awq;

import org.jspecify.annotations.NullMarked;
