/**
 * The layouts of Intel's AutoRound, read by transformers with its package and by vLLM.
 *
 * <ul>
 *   <li>symmetric: {@code auto_round:auto_gptq}, the tensors of {@link quern.format.gptq} v1 without {@code g_idx};
 *   <li>asymmetric, 4 bits: {@code auto_round:auto_awq}, the tensors of {@link quern.format.awq}.
 * </ul>
 *
 * Scales are F16. The config has {@code quant_method: auto-round}, the packing, bits, group size, {@code sym}, the name of the list of
 * layers, and under {@code extra_config} what stays as it is, with 16 bits. The same symmetric tensors under the config of GPTQ are
 * read by more programs; this one is for those who ask for it by name. The tool's own way of choosing codes is not part of the format.
 */
@NullMarked
package quern.format.autoround;

import org.jspecify.annotations.NullMarked;
