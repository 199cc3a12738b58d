package quern.run.pass;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.workbench.Done;
import quern.run.workbench.Pass;
import quern.run.workbench.SideBySide;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;

/**
 * A pass of which one task has all parts: what it sums up is complete and on the device, and never leaves it. Sites are quantized by threads
 * beside the one that goes through the layers, so that weights are read and pieces written while the device computes.
 */
public final class PassSolve {
    private PassSolve() {}

    /**
     * @param bench of the plan that gathers
     * @param solved of the plans whose linears are quantized
     * @param done hears of each manifest, on this thread
     */
    public static void run(
            Workbench bench, List<Workbench> solved, Pass pass, Parts parts, Stopwatch watch, Done<SiteManifest> done)
            throws IOException {
        Map<Long, Plan.SitePlan> silent =
                new TreeMap<>(Plan.SitePlan.byKey(pass.sites(bench.plan()))); // no token has reached them yet
        ExecutorService solvers = Executors.newFixedThreadPool(Plan.Cost.SOLVERS);
        Deque<Solving> solving = new ArrayDeque<>();
        Deque<PartsPass.OfSite> complete = new ArrayDeque<>();
        Batches<Complete> batches = new Batches<>(solved, pass);
        Deque<List<Complete>> ready = new ArrayDeque<>();
        try (PartsPass layers = new PartsPass(bench, pass, parts, watch)) {
            while (layers.hasNext()) {
                complete.addAll(layers.next());
                while (!complete.isEmpty()) {
                    PartsPass.OfSite next = complete.remove();
                    Plan.SitePlan site =
                            Objects.requireNonNull(silent.remove(Plan.SitePlan.key(next.layer(), next.site())));
                    ready.addAll(batches.add(site, new Complete(site, next.statistics())));
                }
                if (!layers.hasNext()) {
                    ready.addAll(batches.rest());
                }
                while (!ready.isEmpty()) {
                    await(solving, Plan.Cost.SOLVERS, done);
                    List<Complete> batch = ready.remove();
                    solving.add(new Solving(batch, solvers.submit(() -> reduced(solved, pass, batch, watch))));
                }
            }
            layers.finish();
            await(solving, 0, done);
            for (Plan.SitePlan site : silent.values()) {
                Statistics none = Hessians.sum(bench.plan(), pass, site).statistics();
                all(SiteTasks.reduced(solved, pass, List.of(new Gathered(site, none)), watch), done);
            }
        } finally {
            SideBySide.end(solvers);
            complete.forEach(site -> site.statistics().close());
            ready.addAll(batches.rest());
            for (Solving each : solving) {
                if (!each.result().isDone()) { // nor will it ever begin
                    ready.add(each.batch());
                }
            }
            ready.forEach(PassSolve::close);
        }
    }

    /** A site whose sum is complete; whoever solves it closes that. */
    private record Complete(Plan.SitePlan site, GrowingStatistics sum) {}

    /** Sites on their way: one, or several that are alike. */
    private record Solving(List<Complete> batch, Future<List<SiteManifest>> result) {}

    private static List<SiteManifest> reduced(List<Workbench> solved, Pass pass, List<Complete> batch, Stopwatch watch)
            throws IOException {
        try {
            List<Gathered> sites = batch.stream()
                    .map(each -> new Gathered(each.site(), each.sum().onDevice()))
                    .toList();
            return SiteTasks.reduced(solved, pass, sites, watch);
        } finally {
            close(batch);
        }
    }

    private static void close(List<Complete> batch) {
        batch.forEach(each -> each.sum().close());
    }

    private static void all(List<SiteManifest> manifests, Done<SiteManifest> done) throws IOException {
        for (SiteManifest manifest : manifests) {
            done.accept(manifest);
        }
    }

    /** Waits until no more than so many sites are being solved or wait for it. */
    private static void await(Deque<Solving> solving, int most, Done<SiteManifest> done) throws IOException {
        try {
            while (solving.size() > most) {
                all(solving.remove().result().get(), done);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        } catch (ExecutionException e) {
            throw SideBySide.rethrown(e.getCause());
        }
    }
}
