/**
 * The format {@code mxfp4}: the experts of gpt-oss as its makers publish them, and transformers and vLLM read.
 *
 * <p>In a checkpoint, for E experts of K inputs and N outputs whose weights are the tensor P, {@code [E, K, N]}, of the unquantized model:
 *
 * <pre>
 * P_blocks  U8 [E, N, K / 32, 16]  E2M1, two a byte, the even input in the lower half
 * P_scales  U8 [E, N, K / 32]      E8M0: powers of two
 *
 * P[e, k, n] = code[e, n, k] * 2^(scale[e, n, k / 32] - 127)
 * </pre>
 *
 * Of the rows of {@code gate_up_proj} every even one is of gate, the next of up, as in the unquantized model. Biases, attention, routers,
 * embedding and head stay as they are, and {@code modules_to_not_convert} says so in the patterns of the published config. Each expert is
 * a linear of its own until the files are written: {@code P.3.blocks} and {@code P.3.scales} of a piece are slice 3 of these tensors.
 *
 * <p>Loaders know the experts of gpt-oss by their class, and ignore the config for all others, so other families are refused. Experts
 * of a layer are one module: all are quantized or none. Published weights have scales of which no weight is clipped, 2^ceil(log2(largest /
 * 6)); loaders take any.
 *
 * <p>{@code quern convert} does not write it: no other format stores codes of stacked experts.
 */
@NullMarked
package quern.format.mxfp4;

import org.jspecify.annotations.NullMarked;
