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
 * <tr><td>{@code names}</td><td>full names of the modules {@code embedding} and {@code head}, and of a {@code layer}, where
 *     <code>{layer}</code> stands for its number. A checkpoint may leave out the first part of all of them</td></tr>
 * <tr><td>{@code keys}</td><td>for a key that Quern asks for, the name or names that the family's configs have for it</td></tr>
 * <tr><td>{@code defaults}</td><td>values of keys of {@code config.json} that may be absent. A key that is there and null is
 *     not absent</td></tr>
 * <tr><td>{@code derived}</td><td>for a key what it follows from, whatever the config says of it: a {@link quern.model.Formula}, or
 *     several, of which the first counts whose condition holds</td></tr>
 * <tr><td>{@code refused}</td><td>{@link quern.model.Condition}s under which a model is refused: what the family's code can do
 *     and the program does not</td></tr>
 * <tr><td>{@code norm}</td><td>{@code layer}: LayerNorm rather than RMSNorm; {@code eps}, a key, {@code rms_norm_eps} if left out;
 *     {@code offset}: 1 where stored weights are offsets from one; {@code weight}, {@code bias}: whether norms have these;
 *     {@code fixed}: for norms that have an epsilon of their own, that</td></tr>
 * <tr><td>{@code attention}</td><td>{@code scale}, a key, 1 / sqrt(head_dim) if left out or absent; {@code by_layer}: whether it is
 *     divided by the layer's number; {@code cap}, a key; {@code alibi}: whether a key's position times a slope is added, {@code
 *     alibi_scaled} by the same scale, {@code alibi_rounded} to bf16; {@code value_dim}, the key of the columns of a head of values;
 *     {@code mscale}: whether a yarn scaling of rotary positions scales the scores, too</td></tr>
 * <tr><td>{@code logits}</td><td>keys: {@code scale}, {@code divisor}, {@code cap}</td></tr>
 * <tr><td>{@code positions}</td><td>{@code offset}: rows before the first of a table of learned positions</td></tr>
 * <tr><td>{@code sliding}</td><td>keys that say which layers have a window where {@code layer_types} does not: {@code size}, its
 *     tokens; {@code if}, a condition; {@code from}, the first layer; {@code to}, the first behind them; {@code pattern}, all but each nth. Left out: no layer has one, whatever the config
 *     says</td></tr>
 * <tr><td>{@code rotary}</td><td>which layers have rotary positions: {@code flags}, the key of a list of 0 and 1; {@code interval},
 *     all but each nth where that list is absent; {@code only_sliding}. Left out: all layers. And how: {@code interleaved};
 *     {@code columns}, the key of how many columns of a head turn; {@code head}, the key of how wide the heads are that turn, where a
 *     {@code join} puts them beside others; {@code sliding_theta}, the key of the base of sliding layers;
 *     {@code types}, other names of scalings</td></tr>
 * <tr><td>{@code biases}</td><td>for a linear, a prefix of linears or one norm: whether there is a bias. Left
 *     out: none. A bias that is stored and not said, or said and not stored, is refused</td></tr>
 * <tr><td>{@code outputs}</td><td>for a linear, or a part of one, the {@link quern.model.Formula} of its outputs, where neither its
 *     neighbours tell them nor they are {@code intermediate_size}, which an activation is as wide as by itself</td></tr>
 * <tr><td>{@code fused}</td><td>for a linear that holds several: {@link quern.model.Fused}</td></tr>
 * <tr><td>{@code transposed}</td><td>true where the linears of layers are stored inputs x outputs</td></tr>
 * <tr><td>{@code routing}</td><td>how a router chooses among experts, keys but for {@code scores} and {@code correction}: {@link
 *     quern.model.Routing}</td></tr>
 * <tr><td>{@code stacked}</td><td>where the weights of all experts are one tensor, <code>[expert][..][..]</code>: {@code transposed},
 *     whether each is inputs x outputs; {@code bias}, what the tensor of the biases is called behind the weight's name</td></tr>
 * <tr><td>{@code before}</td><td>the program from the rows of the embedding to what enters the first layer; left out: nothing</td></tr>
 * <tr><td>{@code layer}</td><td>the program of a layer</td></tr>
 * <tr><td>{@code expert}</td><td>the program of an expert, from the rows {@code x} that are sent to it; in the names of modules
 *     <code>{expert}</code> stands for its number</td></tr>
 * <tr><td>{@code after}</td><td>the program from what leaves the last layer to what the head reads; left out: nothing. In these
 *     two, modules have full names</td></tr>
 * </table>
 *
 * "Whether" is true, false or a condition: {@code use_bias}, {@code a and not b}, {@code n = 2}.
 *
 * <h2>Programs</h2>
 *
 * One step a line, {@code name = operation(name, ..., module)}, from {@code x}, the residual stream that enters, to the
 * {@code x} that leaves. Lines may stand below an {@code if condition:} or {@code else:}; {@link quern.model.Branches} decides
 * these for each layer when a model is opened, so that what runs is a straight line. The operations are those of {@link quern.model.Operation}; a
 * family that needs another one adds it there. What follows from the program is not written down a second time:
 *
 * <ul>
 *   <li>sites: linears that read the same value share one input, hence one Hessian;
 *   <li>the shapes of weights: the width of each value follows from what its neighbours know (the residual stream is hidden
 *       wide, attention takes heads times head_dim, ...), and tensors are checked against them before any is read;
 *   <li>types: what is added to the residual stream is F32, all else of the device's compute type;
 *   <li>lifetimes: a value is given back after the last step that reads it.
 * </ul>
 *
 * <h2>Experts</h2>
 *
 * {@code r = router(x, module)} says what the outputs of experts weigh for each token, and {@code y = experts(x, r)} runs the program
 * {@code expert} for each of them on the rows that are sent to it, and adds up what comes out, expert after expert. An expert is a
 * section of its own with its own linears and sites, which are derived as a layer's are. {@link quern.model.LayerRun} takes all batches
 * through one expert before the next, so that weights are read once and one expert at a time is in memory. Routers, and the gates of
 * shared experts, are linears that are kept.
 *
 * <h2>Fused and transposed linears</h2>
 *
 * {@code linear(x, module[part])} takes the rows of one part. All parts are one {@link quern.model.Linear}, which is quantized
 * and stored as the one linear that it is; only the forward pass takes its rows apart, when the weight is loaded. A transposed
 * linear is turned when it is read, and is outputs x inputs for everyone: methods, formats and verification do not know of it,
 * except that a format says whether its loaders replace such modules.
 *
 * A slip in a file (an unknown operation, a value that is read before it is given or never read, widths that contradict each
 * other) is an {@link java.lang.IllegalArgumentException} with file and line.
 *
 * <h2>Limits</h2>
 *
 * Text models whose layers are attention, and an MLP or experts. Weights in F64, F32, F16 or BF16; NaN and Inf are refused when a tensor is read. Rotary
 * scaling default, dynamic, linear, llama3, longrope and yarn.
 */
@NullMarked
package quern.model;

import org.jspecify.annotations.NullMarked;
