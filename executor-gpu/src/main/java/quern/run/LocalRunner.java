package quern.run;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import quern.plan.Plan;
import quern.run.pass.Batches;
import quern.run.pass.Gathered;
import quern.run.pass.Hessians;
import quern.run.pass.Parts;
import quern.run.pass.PassSolve;
import quern.run.pass.PassTiles;
import quern.run.pass.SiteTasks;
import quern.run.workbench.Done;
import quern.run.workbench.Pass;
import quern.run.workbench.SideBySide;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;

/**
 * Carries a plan out in this process, without Spark: parts, sites and shards are tasks of a thread pool. Where one task takes all parts, a
 * pass is that task.
 */
public final class LocalRunner implements PlanRunner {
    private final StoreOpener stores;
    private final int threads;
    private final int together;

    public LocalRunner(StoreOpener stores, int threads) {
        this(stores, threads, 0);
    }

    /** @param together parts that a task takes; 0 where the plan says it */
    LocalRunner(StoreOpener stores, int threads, int together) {
        this.stores = stores;
        this.threads = threads;
        this.together = together;
    }

    @Override
    public String name() {
        return "local, " + threads + " threads";
    }

    @Override
    public void calibrate(
            Plan plan, List<Plan> solved, Pass pass, Stopwatch watch, Done<SiteManifest> done, Runnable left)
            throws IOException {
        Parts.whereTheyFit(
                together > 0
                        ? together
                        : Parts.together(
                                plan.cost().together(), pass.parts(plan).size(), 1),
                watch,
                done,
                (some, once) -> calibrate(plan, solved, pass, some, watch, once));
        // Not before: another pass beside the last solves would take as many threads and as much memory again.
        left.run();
    }

    private void calibrate(
            Plan plan, List<Plan> solved, Pass pass, int together, Stopwatch watch, Done<SiteManifest> done)
            throws IOException {
        List<Parts> runs = Parts.cut(pass.parts(plan), together);
        if (runs.size() == 1 && (plan.onGpu() || together > 1)) {
            PassSolve.run(Workbench.of(plan, stores), Workbench.of(solved, stores), pass, runs.get(0), watch, done);
            return;
        }
        Map<Long, List<PassTiles.PartTile>> tilesOfSite = new HashMap<>();
        run(
                plan,
                runs,
                (bench, parts, w) -> {
                    List<PassTiles.PartTile> tiles = new ArrayList<>();
                    try (PassTiles run = PassTiles.open(bench, pass, parts, w)) {
                        run.forEachRemaining(tiles::add);
                    }
                    return tiles;
                },
                watch,
                (parts, tiles) -> tiles.forEach(t -> tilesOfSite
                        .computeIfAbsent(Plan.SitePlan.key(t.layer(), t.site()), site -> new ArrayList<>())
                        .add(t)));
        tilesOfSite.values().forEach(tiles -> tiles.sort(Comparator.comparingLong(PassTiles.PartTile::key)));
        List<Workbench> benches = Workbench.of(solved, stores);
        run(
                plan,
                Batches.of(benches, pass, pass.sites(plan)),
                (bench, batch, w) -> {
                    List<Gathered> sites = new ArrayList<>();
                    for (Plan.SitePlan site : batch) {
                        Hessians.Sum sum = Hessians.sum(plan, pass, site);
                        tilesOfSite
                                .getOrDefault(site.key(), List.of())
                                .forEach(tile -> sum.add(tile.part(), tile.tile()));
                        sites.add(new Gathered(site, sum.statistics()));
                    }
                    return SiteTasks.reduced(benches, pass, sites, w);
                },
                watch,
                (batch, manifests) -> {
                    for (SiteManifest manifest : manifests) {
                        done.accept(manifest);
                    }
                });
    }

    @Override
    public <I extends Serializable, R extends Serializable> void each(
            Plan plan, String name, List<I> items, Task<I, R> task, Stopwatch watch, Done<R> done) throws IOException {
        run(plan, items, task::run, watch, (item, result) -> done.accept(result));
    }

    /** The first failure ends the rest. */
    private <I, R> void run(Plan plan, List<I> items, Work<I, R> work, Stopwatch watch, Finished<I, R> finished)
            throws IOException {
        Workbench bench = Workbench.of(plan, stores);
        Object oneAtATime = new Object();
        List<Callable<Boolean>> calls = new ArrayList<>();
        for (I item : items) {
            calls.add(() -> {
                R result = work.run(bench, item, watch);
                synchronized (oneAtATime) {
                    finished.accept(item, result);
                }
                return true;
            });
        }
        SideBySide.run(threads, calls);
    }

    @FunctionalInterface
    private interface Work<I, R> {
        R run(Workbench bench, I item, Stopwatch watch) throws IOException;
    }

    @FunctionalInterface
    private interface Finished<I, R> {
        void accept(I item, R result) throws IOException;
    }
}
