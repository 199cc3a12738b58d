/**
 * The formats {@code gguf-*}: one file for llama.cpp and what is built on it. {@link quern.format.gguf.GgufFormat} packs linears,
 * {@code quern.export} makes the file of them.
 *
 * <h2>Types</h2>
 *
 * A row is cut into blocks; {@link quern.format.gguf.GgufType} lists their kinds, {@link quern.format.gguf.BlockLayout} where each bit of
 * a block lies. Of 32 values with a scale in F16, and for the odd names a minimum:
 *
 * <pre>
 * Q4_0 Q5_0 Q8_0   w = d (q - 8, 16, 128)      the sign of d says to which side there is one code more
 * Q4_1 Q5_1        w = d q + m
 * IQ4_NL           w = d value(q)              16 values, denser around zero
 * </pre>
 *
 * Of 256 values in groups, whose scales (and minima) are multiples of a unit in F16, {@link quern.scheme.Blocks}:
 *
 * <pre>
 * Q2_K             w = d s q - m t             16 groups; s and t of 4 bits
 * Q4_K Q5_K        w = d s q - m t             8 groups; s and t of 6 bits
 * Q3_K Q6_K        w = d s (q - 4, 32)         16 groups; s of 6 and 8 bits, with a sign
 * IQ4_XS           w = d s value(q)            8 groups; s of 6 bits, with a sign
 * </pre>
 *
 * <h2>Mixtures</h2>
 *
 * A file is named after the type of most linears; {@link quern.format.gguf.Mixture} says which get another, in the words of llama.cpp's
 * quantizer. The head, or the embedding that is the head, too, gets at least 6 bits. Where rows are no whole blocks of 256, a type of
 * blocks of 32 stands in, and F16 where they are no whole blocks of 32. A recipe's overrides give linears of 2, 3, 4 and 8 bits Q2_K, Q3_K,
 * Q4_K and Q8_0.
 *
 * {@code gguf-f16} and {@code gguf-bf16} have no codes: all matrices are of this type, and what is quantized is what overrides name.
 *
 * <h2>The file</h2>
 *
 * Metadata, tensors with llama.cpp's names, dimensions the other way round; norms and biases in F32. In Llama's family the rows of q and k
 * change places: columns that turn together stand side by side ({@link quern.format.gguf.RowOrder}); those of GPT-NeoX's
 * {@code query_key_value}, too: first the queries of all heads. Of a mixture the weights of all
 * experts are one tensor, one after the other, and routers stay in F32; where gate and up were one, they are two. Gemma's norms are stored with the one that they are offsets from.
 * Tables of what rotary frequencies are divided by are tensors, too. No {@code config.json} and no
 * tokenizer's files stand beside it.
 *
 * <h2>Limits</h2>
 *
 * A multiple of 0 is not written: 1 with the same codes says as much. So a group of zeros in IQ4_XS, whose values have no zero, comes back as
 * a four-thousandth of the block's largest value.
 *
 * <p>Of gpt-oss llama.cpp rounds the pairs of columns between which yarn blends frequencies, which the published configs do not
 * ({@code truncate}); a file cannot say so. Its experts get the types of the mixture, whatever they were stored in.
 *
 * <p>llama.cpp computes every GELU of GPT-NeoX by tanh, whichever the config names.
 */
@NullMarked
package quern.format.gguf;

import org.jspecify.annotations.NullMarked;
