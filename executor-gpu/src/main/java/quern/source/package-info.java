/**
 * What a model is read from. A source may have been quantized already: {@link quern.source.Source} then shows its weights
 * dequantized, under the names and in the shapes of the unquantized model, and nobody else knows but for one sentence.
 *
 * <p>Each way of storing weights in few bits is a {@link quern.source.Storage}: one file that says which tensors stand for a weight and
 * gives its rows, and one word in {@link quern.source.Storages}. The description of each class is the layout that it reads.
 *
 * <h2>What must hold</h2>
 *
 * <ul>
 *   <li>Opening reads headers, and no tensor but the 16 bytes of a {@code weight_shape} where nothing else tells it.
 *   <li>Weights are dequantized when they are read, by ranges; nothing of a file is held but a matrix whose codes run down its columns,
 *       and that as long as there is memory for it.
 *   <li>Values are those of the formula, in float arithmetic, and are shown as F32; where the formula's values all fit a shorter type,
 *       in that one.
 *   <li>What is stored in a way that is not known is refused: nothing passes for a weight that is not one.
 * </ul>
 */
@NullMarked
package quern.source;

import org.jspecify.annotations.NullMarked;
