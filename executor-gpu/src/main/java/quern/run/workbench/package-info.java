/**
 * What the tasks of a run stand on, and the values that they exchange. {@link quern.run.workbench.Workbench} is what a process has open for a
 * plan: the model, the output, the device, the layers that parts go through. {@link quern.run.workbench.Pass} says what a forward pass is to
 * do, {@link quern.run.workbench.SiteManifest} what a solve wrote, {@link quern.run.workbench.RunFolder} where files of a run lie. A watch
 * counts the time of phases, and how often something was made smaller for want of memory. Nothing here decides what comes next.
 */
@NullMarked
package quern.run.workbench;

import org.jspecify.annotations.NullMarked;
