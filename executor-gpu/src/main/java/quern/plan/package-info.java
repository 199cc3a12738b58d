/**
 * Everything decided before a tensor is read: {@link quern.plan.Plan} is a value, {@link quern.plan.Planner} makes it from the
 * source's headers, the recipe and the machine.
 *
 * <p>A plan's id is a hash of what the bytes depend on: recipe, scheme, stages, sites, parts and batches, the tokens' hash, the
 * device's type, config and tensor shapes of the source. It names the run's folder, so a resumed run finds its files only if
 * it would write the same bytes. Number of executors and their memory are not in it.
 *
 * <p>Stages by default: every layer by itself at 3 bits and more (one forward pass, all solves independent of each other), exact
 * propagation below: the fastest plan whose KL is within 3 % of that of exact propagation. DESIGN.md has the figures. A recipe that
 * takes the linears of a layer one after the other is propagated exactly.
 */
@NullMarked
package quern.plan;

import org.jspecify.annotations.NullMarked;
