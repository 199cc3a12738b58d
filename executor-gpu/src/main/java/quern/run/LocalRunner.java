package quern.run;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import quern.plan.Plan;

/** Carries a plan out in this process, without Spark: parts, sites and shards are tasks of a thread pool. */
public final class LocalRunner implements PlanRunner {
    private final StoreOpener stores;
    private final int threads;

    public LocalRunner(StoreOpener stores, int threads) {
        this.stores = stores;
        this.threads = threads;
    }

    @Override
    public String name() {
        return "local, " + threads + " threads";
    }

    @Override
    public void calibrate(
            Plan plan, List<Plan> solved, Pass pass, Stopwatch watch, Done<SiteManifest> done, Runnable left)
            throws IOException {
        List<Plan.Part> parts = pass.parts(plan);
        List<Map<Long, List<Hessians.Tile>>> tilesOfPart = new ArrayList<>(Collections.nCopies(parts.size(), Map.of()));
        run(
                plan,
                parts,
                (bench, part, w) -> {
                    Map<Long, List<Hessians.Tile>> tiles = new HashMap<>(); // by site
                    try (PassTiles run = PassTiles.open(bench, pass, part, w)) {
                        run.forEachRemaining(t -> tiles.computeIfAbsent(
                                        PassTiles.siteKey(t.layer(), t.site()), site -> new ArrayList<>())
                                .add(t.tile()));
                    }
                    return tiles;
                },
                watch,
                (part, tiles) -> tilesOfPart.set(parts.indexOf(part), tiles));
        List<Plan.SitePlan> sites = pass.sites(plan);
        run(
                plan,
                sites,
                (bench, site, w) -> {
                    Hessians.Sum sum = Hessians.sum(plan, pass, site);
                    long key = PassTiles.siteKey(site);
                    for (Map<Long, List<Hessians.Tile>> tiles : tilesOfPart) {
                        tiles.getOrDefault(key, List.of()).forEach(sum::add);
                    }
                    return Tasks.reduced(Workbench.of(solved, stores), pass, site, sum.statistics(), w);
                },
                watch,
                (site, manifests) -> {
                    for (SiteManifest manifest : manifests) {
                        done.accept(manifest);
                    }
                });
        left.run(); // not before: another pass beside these solves would take as many threads and as much memory again
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
