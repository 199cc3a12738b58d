package quern.run;

import java.io.IOException;
import java.io.Serializable;
import java.util.List;
import quern.plan.Plan;
import quern.run.pass.SiteTasks;
import quern.run.workbench.Done;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;

/**
 * Who carries the jobs of a plan out: an axis. {@link LocalRunner} is one process; the driver has one on Spark. Both call
 * {@link SiteTasks} and add Hessians up along the same tree, and so must write the same bytes.
 */
public interface PlanRunner {
    /** For messages and the report: {@code local, 2 threads} or a Spark master. */
    String name();

    /**
     * Takes every part through a pass, reduces the statistics of each tapped site, quantizes the site and hands
     * over its manifests as soon as the site is done.
     *
     * @param plan what gathers: the one plan itself, or {@link Plan#together} for several
     * @param solved the plans whose linears are then quantized
     * @param left called, perhaps more than once, when every part has left the pass and what it stores is there; sites may
     *     still be solved then
     */
    void calibrate(Plan plan, List<Plan> solved, Pass pass, Stopwatch watch, Done<SiteManifest> done, Runnable left)
            throws IOException;

    /** Runs a task for each item, side by side. */
    <I extends Serializable, R extends Serializable> void each(
            Plan plan, String name, List<I> items, Task<I, R> task, Stopwatch watch, Done<R> done) throws IOException;

    /** What is done to an item; sent to wherever the workbench is. */
    @FunctionalInterface
    interface Task<I extends Serializable, R extends Serializable> extends Serializable {
        R run(Workbench bench, I item, Stopwatch watch) throws IOException;
    }
}
