/**
 * What is done to parts and sites. {@link quern.run.pass.PassTiles} takes some parts of the tokens through a range of layers and gives the
 * tiles of their Hessians; {@link quern.run.pass.SiteTasks} makes a piece of one site; {@link quern.run.pass.PassSolve} is both in one task, which has all
 * parts; {@link quern.run.pass.Batches} says which sites of experts are solved side by side. All are functions of the plan and of files that it
 * names, so that a retry, in whatever process, writes the same bytes.
 *
 * <h2>What must hold</h2>
 *
 * <ul>
 *   <li>A Hessian is summed over a part's batches in order, and over parts as {@link quern.run.pass.TreeSum} says, in fp32: its bits depend
 *       on nothing but the plan and the type of device, nor on how many parts a task takes ({@link quern.run.pass.Parts}).
 *   <li>Hidden states are rounded where they are stored, and the pass that stores them goes on with the rounded ones: a
 *       restart reads what an undisturbed run has in memory.
 *   <li>A pass ends before the linears whose inputs are the last that it taps, if what leaves their layer is not wanted.
 * </ul>
 */
@NullMarked
package quern.run.pass;

import org.jspecify.annotations.NullMarked;
