/**
 * The formats of bitsandbytes, read by transformers, PEFT and vLLM: 4-bit values from a table, {@code bitsandbytes-nf4} and
 * {@code bitsandbytes-fp4}, and 8-bit integers, {@code bitsandbytes-int8}. None needs calibration.
 *
 * <h2>Tensors of 4 bits</h2>
 *
 * For a linear {@code P} with K inputs and N outputs, in blocks of b inputs, B = N K / b blocks in row-major order. The
 * library's blocks may straddle rows; here b divides K, and is 64 in what is written.
 *
 * <pre>
 * P.weight            U8 [N K / 2, 1]      two codes a byte, the even one in the upper half
 * P.weight.absmax     F32 [B]              the largest magnitude of a block
 * P.weight.quant_map  F32 [16]             what the codes stand for
 * P.weight.quant_state.bitsandbytes__nf4   U8 [s]: JSON, its bytes (...__fp4)
 *
 * W[i] = quant_map[code[i]] * absmax[i / b]
 * </pre>
 *
 * {@code bitsandbytes-nf4-nested} (double quantization) stores the blocks' magnitudes in 8 bits, in blocks of 256 about their mean:
 *
 * <pre>
 * P.weight.absmax            U8 [B]
 * P.weight.nested_absmax     F32 [B / 256]
 * P.weight.nested_quant_map  F32 [256]     the library's dynamic 8-bit map
 *
 * absmax[i] = nested_quant_map[code[i]] * nested_absmax[i / 256] + nested_offset        (the offset stands in the JSON)
 * </pre>
 *
 * <h2>Tensors of 8 bits</h2>
 *
 * <pre>
 * P.weight         I8 [N, K]
 * P.SCB            F32 [N]     the largest magnitude of a row
 * P.weight_format  U8 []       0: rows
 *
 * W[n, k] = weight[n, k] * SCB[n] / 127
 * </pre>
 *
 * What LLM.int8 does with outliers of activations happens when the model runs; nothing of it is stored.
 *
 * <h2>Limits</h2>
 *
 * The type that readers give back, in the JSON, is always bfloat16. The JSON is padded with blanks to one length, since the mean is not known when the file is laid out. No full act-order.
 * TGI and LoRAX quantize so themselves, from the original weights, and do not read this.
 *
 * <h2>Configuration</h2>
 *
 * {@code load_in_4bit} or {@code load_in_8bit} tells them apart; {@code llm_int8_threshold} has to be a float. All linears but the head
 * are replaced, except those in {@code llm_int8_skip_modules}, which then has to name the head too.
 */
@NullMarked
package quern.format.bitsandbytes;

import org.jspecify.annotations.NullMarked;
