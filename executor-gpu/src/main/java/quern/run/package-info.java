/**
 * The flow of a run, from the tokens of a plan to a checkpoint that loaders read.
 *
 * <p>Three pure functions say what is done: {@link quern.run.PassTiles} takes some parts of the tokens through a range of layers
 * and gives the tiles of their Hessians; {@link quern.run.SiteTasks} makes a piece of one site; {@link quern.run.ShardTasks}
 * stream a final file from pieces. {@link quern.run.PassSolve} is the first two in one task, which has all parts;
 * {@link quern.run.Batches} says which sites of experts are solved side by side. Each depends on the plan and on files that the plan names, and so a
 * retry, in whatever process, writes the same bytes. Without calibration {@link quern.run.CastShard} makes a final file straight from the source.
 * {@link quern.run.Quantization} knows which pass follows which; a
 * {@link quern.run.PlanRunner} knows where they run.
 *
 * <h2>Files of a run</h2>
 *
 * <p>Below {@code _quern/<plan id>/} in the output, gone when the run is done:
 *
 * <pre>
 * tokens/part-00003.arrow                    token ids, a row a sequence
 * activations/layer-0012/part-00003.arrow    what enters layer 12, a row a token, a batch a forward batch
 * hessians/layer-0012-site-0009-round-0.arrow  of an expert that few tokens reached, or of all experts, until all is solved
 * pieces/layer-0012-site-001.safetensors     the packed tensors of one site
 * manifests/layer-0012-site-001.json         what the piece holds; written after it
 * shards/model.safetensors.json              without calibration: what the final file holds; written after it
 * </pre>
 *
 * <h2>What must hold</h2>
 *
 * <ul>
 *   <li>A Hessian is summed over a part's batches in order, and over parts as {@link quern.run.TreeSum} says, in fp32: its bits depend
 *       on nothing but the plan and the type of device, nor on how many parts a task takes ({@link quern.run.Parts}).
 *   <li>Hidden states are rounded where they are stored, and the pass that stores them goes on with the rounded ones: a
 *       restart reads what an undisturbed run has in memory.
 *   <li>Which linears run with their quantized weights in a pass follows from the plan alone, not from what happens to be done.
 *   <li>A pass ends before the linears whose inputs are the last that it taps, if what leaves their layer is not wanted.
 *   <li>No loader takes the output for a model before all shards are there: {@code config.json} is written after them, and
 *       goes again if the proof or the marker fails ({@link quern.run.Publication}).
 * </ul>
 */
@NullMarked
package quern.run;

import org.jspecify.annotations.NullMarked;
