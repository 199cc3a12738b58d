/**
 * The tensors of torchao, read by transformers and, of some of them, vLLM: {@code torchao} is its {@code IntxWeightOnlyConfig}, integers
 * in groups; {@code torchao-int8} and {@code torchao-fp8} its {@code Int8WeightOnlyConfig} and {@code Float8WeightOnlyConfig}, a scale a
 * row.
 *
 * <pre>
 * P._weight_qdata       I8 or F8_E4M3 [N, K]      a byte a code, however few its bits
 * P._weight_scale       F32 [N, 1]; in groups the model's type [N, K / g]
 * P._weight_zero_point  I8, shaped like the scales: integers only; 0 if symmetric
 *
 * W[n, k] = scale * (qdata[n, k] - zero_point)
 * </pre>
 *
 * Integers are signed, from -2^(b-1): codes less 2^(b-1). There is no {@code P.weight}. What the tensors mean stands in the
 * header of each file, where {@code tensor_names} lists the parameters of the whole model and each has an entry: its class, the block
 * that shares a scale, the types. transformers reads the headers of all files over each other, so all of them say the same.
 *
 * <p>The config repeats the class of the configuration, with a version. Written for torchao 0.18. Weights of 4 bits packed two a byte
 * ({@code Int4WeightOnlyConfig}) need a library for GPUs even to be made, and are not written.
 */
@NullMarked
package quern.format.torchao;

import org.jspecify.annotations.NullMarked;
