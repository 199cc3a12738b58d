/**
 * The GPTQ formats: {@code gptq} (v1) and {@code gptq_v2}. They are the widest-read formats of 2 to 8 bit weights, from the
 * GPTQ scripts through AutoGPTQ to GPTQModel, vLLM, SGLang, TGI, LoRAX and transformers.
 *
 * <h2>Tensors</h2>
 *
 * For a linear {@code P} with K inputs and N outputs, b bits, group size g, G = K / g groups; {@code P.weight} is gone, a
 * bias stays as it was.
 *
 * <pre>
 * P.qweight  I32 [K b / 32, N]   the codes of an output's inputs as a stream of bits down the column
 * P.qzeros   I32 [G, N b / 32]   the zero fields of a group's outputs as a stream of bits along the row
 * P.scales   F16 [G, N]
 * P.g_idx    I32 [K]             the group of every input
 *
 * W[n, k] = scales[g_idx[k], n] * (code[k, n] - zero[g_idx[k], n])
 * </pre>
 *
 * In a stream, code i stands at bits [b i, b i + b), bit 0 is the lowest of the first word. For 3 bits that gives three
 * words for 32 codes; the planar variant of GPTQModel ({@code gptq_p}) is another format and not this one. Rows of
 * {@code qweight} are always in the order of the inputs: with {@code desc_act} only {@code g_idx} is irregular. It is always
 * written, since LoRAX and TGI fail without it, and may be absent in what is read.
 *
 * <h2>Zero fields</h2>
 *
 * v1 stores zero - 1 and v2 stores zero, each modulo 2^b. A v1 zero of 0 is stored as 2^b - 1; readers that do not mask
 * take it back as 2^b, and writers of the past let the borrow spill into the fields above. So zero 0 is never written in
 * v1, and {@link quern.scheme.Scheme#lowestZero()} keeps methods from choosing it. Symmetric checkpoints hold the constant
 * 2^(b-1), and the fast kernels for them never look at it: a wrong convention shows only in the others.
 *
 * <h2>Configuration</h2>
 *
 * {@code quantization_config} in {@code config.json}, and the same block by itself in {@code quantize_config.json}. Loaders
 * raise or guess when {@code quant_method}, {@code bits}, {@code group_size}, {@code sym} or {@code desc_act} are missing.
 * {@code checkpoint_format} says v1 or v2 (absent: v1) and wins over {@code format}. {@code static_groups} and {@code meta}
 * say how the codes were found and change nothing for a loader, but for {@code meta.quantizer}: GPTQModel refuses
 * asymmetric v1 unless it names gptqmodel 0.9.0 or later, the release that settled the convention above, so that entry
 * stands beside ours there. Where linears of the layers are kept, {@code dynamic} says so to GPTQModel and vLLM (which looks
 * for the fused names too), {@code modules_in_block_to_quantize} to transformers (endings of names).
 *
 * <h2>Limits</h2>
 *
 * K and N are multiples of 32 and g divides K. vLLM's Marlin kernels want 4 or 8 bits, symmetric, g of -1, 32, 64 or 128,
 * N a multiple of 64 and K of 128; its CPU build (0.32) 4 bits, symmetric, without {@code desc_act}. LoRAX and TGI know
 * only v1, and need the same {@code g_idx} in q, k and v. Scales are F16: at least 2^-24 and at most 65504.
 */
@NullMarked
package quern.format.gptq;

import org.jspecify.annotations.NullMarked;
