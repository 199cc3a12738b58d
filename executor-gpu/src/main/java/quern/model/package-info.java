/**
 * Model families as data: {@code config.json}, the architecture files, and the forward pass that interprets them.
 *
 * <h2>The axis</h2>
 *
 * A family is one file {@code quern/architectures/<family>.yaml} and one line in {@link quern.model.Architectures}. Its
 * contract test runs whatever models of that family there are with reference activations.
 *
 * <h2>An architecture file</h2>
 *
 * <table>
 * <caption>Fields</caption>
 * <tr><td>{@code model_types}</td><td>the values of {@code model_type} that it describes</td></tr>
 * <tr><td>{@code names}</td><td>full names of the modules {@code embedding}, {@code norm} (before the head), {@code head}, and
 *     of a {@code layer}, where <code>{layer}</code> stands for its number</td></tr>
 * <tr><td>{@code defaults}</td><td>values of keys of {@code config.json} that may be absent. A key that is there and null is
 *     not absent</td></tr>
 * <tr><td>{@code norm}</td><td>{@code offset}: 1 where stored norm weights are offsets from one; 0 if left out</td></tr>
 * <tr><td>{@code sliding}</td><td>keys that say which layers have a window where {@code layer_types} does not: {@code size}, its
 *     tokens; {@code if}, a condition; {@code from}, the first layer; {@code pattern}, all but each nth. Left out: no layer has one, whatever the config
 *     says</td></tr>
 * <tr><td>{@code rotary}</td><td>which layers have rotary positions: {@code flags}, the key of a list of 0 and 1; {@code interval},
 *     all but each nth where that list is absent; {@code only_sliding}. Left out: all layers</td></tr>
 * <tr><td>{@code biases}</td><td>for a linear or a prefix of linears: true, or the key that says whether there is a bias. Left
 *     out: none. A bias that is stored and not said, or said and not stored, is refused</td></tr>
 * <tr><td>{@code layer}</td><td>the program of a layer</td></tr>
 * </table>
 *
 * <h2>The program of a layer</h2>
 *
 * One step a line, {@code name = operation(name, ..., module)}, from {@code x}, the residual stream that enters, to the
 * {@code x} that leaves. The operations are those of {@link quern.model.Operation}; a family that needs another one adds it
 * there. What follows from the program is not written down a second time:
 *
 * <ul>
 *   <li>sites: linears that read the same value share one input, hence one Hessian;
 *   <li>the shapes of weights: the width of each value follows from what its neighbours know (the residual stream is hidden
 *       wide, attention takes heads times head_dim, ...), and tensors are checked against them before any is read;
 *   <li>types: what is added to the residual stream is F32, all else of the device's compute type;
 *   <li>lifetimes: a value is given back after the last step that reads it.
 * </ul>
 *
 * A slip in a file (an unknown operation, a value that is read before it is given or never read, widths that contradict each
 * other) is an {@link java.lang.IllegalArgumentException} with file and line.
 *
 * <h2>Limits</h2>
 *
 * Text models with one kind of layer, separate q, k and v, and a gated or plain MLP. Weights in F64, F32, F16 or BF16; NaN and
 * Inf are refused when a tensor is read. Rotary scaling default, linear, llama3 and yarn.
 */
@NullMarked
package quern.model;

import org.jspecify.annotations.NullMarked;
