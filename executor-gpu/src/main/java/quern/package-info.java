/**
 * The quantization core. It runs inside an executor and does not know Spark: values ({@code tensor}, {@code scheme}),
 * files ({@code store}), model families as data ({@code model}), what computes ({@code device}), how codes are chosen
 * ({@code method}), the bytes on disk ({@code format}), and the flow that ties them together ({@code plan},
 * {@code run}).
 */
@NullMarked
package quern;

import org.jspecify.annotations.NullMarked;
