/**
 * The flow of a run, from the tokens of a plan to a checkpoint that loaders read. {@link quern.run.Quantization} knows which pass follows which,
 * {@link quern.run.Casting} the same without calibration; a {@link quern.run.PlanRunner} knows where tasks run. What tasks do stands in
 * {@link quern.run.pass} and {@link quern.run.shard}, on what {@link quern.run.workbench} has.
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
 *   <li>Which linears run with their quantized weights in a pass follows from the plan alone, not from what happens to be done.
 *   <li>No loader takes the output for a model before all shards are there: {@code config.json} is written after them, and
 *       goes again if the proof or the marker fails ({@link quern.run.Publication}).
 * </ul>
 */
@NullMarked
package quern.run;

import org.jspecify.annotations.NullMarked;
