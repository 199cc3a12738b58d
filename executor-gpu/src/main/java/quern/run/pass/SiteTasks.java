package quern.run.pass;

import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.QuernException;
import quern.device.DeviceOutOfMemory;
import quern.format.FixedScale;
import quern.method.Hessian;
import quern.method.Method;
import quern.method.Shrinkage;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.workbench.Fitting;
import quern.run.workbench.Pass;
import quern.run.workbench.Phase;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.tensor.Matrix;

/**
 * What every runner does to sites whose statistics are complete. It depends on the plan and on files that the plan names, so a retry
 * gives the same bytes.
 */
public final class SiteTasks {
    private static final Logger LOG = LoggerFactory.getLogger(SiteTasks.class);

    private SiteTasks() {}

    /**
     * What becomes of sites' statistics when they are complete, the same for each plan that has the sites.
     *
     * @param sites one, or some that {@link Batches} put together
     */
    public static List<SiteManifest> reduced(List<Workbench> benches, Pass pass, List<Gathered> sites, Stopwatch watch)
            throws IOException {
        List<SiteManifest> manifests = new ArrayList<>();
        for (Workbench bench : benches) {
            List<Gathered> ready = new ArrayList<>();
            for (Gathered gathered : sites) {
                Plan.SitePlan own = bench.site(gathered.site());
                if (own != null) {
                    SiteManifest waiting = waiting(bench, pass, own, gathered.statistics(), watch);
                    if (waiting == null) {
                        ready.add(new Gathered(own, gathered.statistics()));
                    } else {
                        manifests.add(waiting);
                    }
                }
            }
            manifests.addAll(solve(bench, ready, watch));
        }
        return manifests;
    }

    /**
     * Keeps the statistics of a site that is not quantized yet; null if it is to be. An expert that too few tokens reached waits: its
     * own are stored, and so are those of all experts together; {@link #solveUncovered} comes when both are there. A round of further
     * tokens only adds to what is stored. Where the pass is one to fit the transform, that is all that is done.
     */
    private static @Nullable SiteManifest waiting(
            Workbench bench, Pass pass, Plan.SitePlan site, Statistics statistics, Stopwatch watch) throws IOException {
        if (pass.fits()) {
            String what = "fit the transform to the inputs of";
            return besideOthersOrNone(bench, what, site, watch, () -> Fitting.site(bench, site, statistics, watch));
        }
        if (pass.round() > 0) {
            Statistics sum = stored(bench, site, pass.round() - 1).plus(statistics);
            store(bench, site, pass.round(), sum, watch);
            return SiteManifest.waiting(bench.plan(), site, sum.tokens());
        }
        if (site.isPool() || (site.ofExpert() && Shrinkage.needed(statistics.tokens(), site.inputs()))) {
            store(bench, site, 0, statistics, watch);
            return SiteManifest.waiting(bench.plan(), site, statistics.tokens());
        }
        return null;
    }

    private static void store(Workbench bench, Plan.SitePlan site, int round, Statistics statistics, Stopwatch watch)
            throws IOException {
        String file = bench.folder().hessian(site.layer(), site.index(), round);
        watch.time(Phase.WRITE, () -> {
            StatisticsFile.write(bench.output(), file, site.inputs(), statistics);
            return file;
        });
    }

    /** The statistics after a round. */
    private static Statistics stored(Workbench bench, Plan.SitePlan site, int round) throws IOException {
        return StatisticsFile.read(bench.output(), bench.folder().hessian(site.layer(), site.index(), round));
    }

    /** The key of a site of an expert that few tokens reached, and the last round of further tokens that were drawn on for it. */
    public record Uncovered(long site, int round) implements Serializable {}

    /**
     * Quantizes the linears of an expert that few tokens reached: with its own Hessian if further tokens made it sound, else with one
     * between its own and that of all experts.
     */
    public static SiteManifest solveUncovered(Workbench bench, Uncovered uncovered, Stopwatch watch)
            throws IOException {
        Plan.SitePlan site = bench.site(uncovered.site());
        int round = uncovered.round();
        Statistics own = stored(bench, site, round);
        long further = round == 0 ? -1 : own.tokens() - stored(bench, site, 0).tokens();
        List<String> notes = new ArrayList<>();
        if (round > 0) {
            notes.add(further + " of the " + own.tokens()
                    + " tokens that calibrated it are of further text, drawn on for it");
        }
        Statistics used = own;
        if (Shrinkage.needed(own.tokens(), site.inputs())) {
            Plan.SitePlan pool = bench.plan().pools(site.layer(), site.layer() + 1).stream()
                    .filter(p -> p.rank() == site.rank())
                    .findFirst()
                    .orElseThrow();
            Statistics all = stored(bench, pool, 0);
            if (all.tokens() > 0) { // else no token reached any of them: the solver says so, and rounds to nearest
                notes.add(Shrinkage.note(own));
                used = Shrinkage.toward(all, own);
            }
        }
        return solve(bench, new Gathered(site, used, own.tokens(), further, notes), watch);
    }

    private static List<SiteManifest> solve(Workbench bench, List<Gathered> sites, Stopwatch watch) throws IOException {
        if (sites.size() == 1) {
            return List.of(solve(bench, sites.get(0), watch));
        }
        if (sites.isEmpty()) {
            return List.of();
        }
        try {
            return permitted(bench, 1, () -> alike(bench, sites, watch));
        } catch (DeviceOutOfMemory e) {
            LOG.warn(
                    "{}; {} experts that were to be solved together are taken in two halves",
                    e.getMessage(),
                    sites.size());
            watch.add(Squeeze.BATCHES, 1);
            bench.layers().letGo();
            int half = sites.size() / 2;
            List<SiteManifest> manifests = new ArrayList<>(solve(bench, sites.subList(0, half), watch));
            manifests.addAll(solve(bench, sites.subList(half, sites.size()), watch));
            return manifests;
        }
    }

    /**
     * Quantizes the linears of one site, packs them and writes the piece. Where the device has no memory for it beside others, it begins
     * anew without them.
     */
    public static SiteManifest solve(Workbench bench, Gathered gathered, Stopwatch watch) throws IOException {
        if (gathered.site().isCache()) {
            return cache(bench, gathered, watch);
        }
        return besideOthersOrNone(bench, "quantize", gathered.site(), watch, () -> alone(bench, gathered, watch));
    }

    /** Beside what other threads solve; where the device has no memory for that, anew without them. */
    private static <T> T besideOthersOrNone(
            Workbench bench, String what, Plan.SitePlan site, Stopwatch watch, Solve<T> solve) throws IOException {
        String name = site.linears().get(0).name();
        try {
            return permitted(bench, 1, solve);
        } catch (DeviceOutOfMemory e) {
            LOG.warn("{}; {} is solved anew with no other beside it", e.getMessage(), name);
            watch.add(Squeeze.SOLVES, 1);
            bench.layers().letGo();
        }
        try {
            return permitted(bench, Plan.Cost.SOLVERS, solve);
        } catch (DeviceOutOfMemory e) {
            throw new QuernException("Cannot " + what + " " + name + ": " + e.getMessage(), e);
        }
    }

    @FunctionalInterface
    private interface Solve<T> {
        T run() throws IOException;
    }

    /** Beside no more others than the device takes, or, with all permits that there are, beside none. */
    private static <T> T permitted(Workbench bench, int permits, Solve<T> solve) throws IOException {
        bench.solvers().acquireUninterruptibly(permits);
        try {
            return solve.run();
        } finally {
            bench.solvers().release(permits);
        }
    }

    private static SiteManifest alone(Workbench bench, Gathered gathered, Stopwatch watch) throws IOException {
        Plan.SitePlan site = gathered.site();
        Hessian hessian = gathered.statistics().hessian();
        SitePiece piece = new SitePiece(bench, gathered);
        float largest = site.linears().stream().anyMatch(l -> l.scheme().isJoint())
                ? watch.time(Phase.LOAD, () -> largest(bench, site))
                : 0;
        try (Method.Solver solver = watch.time(
                Phase.SOLVE, () -> bench.method().solver(bench.plan().recipe(), hessian, bench.device(), largest))) {
            for (Plan.LinearPlan linear : site.linears()) {
                Matrix weight = weight(bench, site, linear, watch);
                piece.add(
                        linear,
                        watch.time(Phase.SOLVE, () -> solver.quantize(linear.name(), weight, linear.scheme())),
                        watch);
            }
        }
        return piece.write(watch);
    }

    /** Sites that are alike, one linear of each at a time. */
    private static List<SiteManifest> alike(Workbench bench, List<Gathered> sites, Stopwatch watch) throws IOException {
        List<SitePiece> pieces = new ArrayList<>();
        List<@Nullable Hessian> hessians = new ArrayList<>();
        for (Gathered each : sites) {
            pieces.add(new SitePiece(bench, each));
            hessians.add(each.statistics().hessian());
        }
        int linears = sites.get(0).site().linears().size();
        try (Method.Batch batch =
                watch.time(Phase.SOLVE, () -> bench.method().batch(bench.plan().recipe(), hessians, bench.device()))) {
            for (int l = 0; l < linears; l++) {
                List<Plan.LinearPlan> alike = new ArrayList<>();
                List<Matrix> weights = new ArrayList<>();
                for (Gathered each : sites) {
                    alike.add(each.site().linears().get(l));
                    weights.add(weight(bench, each.site(), alike.get(alike.size() - 1), watch));
                }
                List<String> names = alike.stream().map(Plan.LinearPlan::name).toList();
                List<Method.Outcome> outcomes = watch.time(
                        Phase.SOLVE,
                        () -> batch.quantize(names, weights, alike.get(0).scheme()));
                for (int i = 0; i < pieces.size(); i++) {
                    pieces.get(i).add(alike.get(i), outcomes.get(i), watch);
                }
            }
        }
        List<SiteManifest> manifests = new ArrayList<>();
        for (SitePiece piece : pieces) {
            manifests.add(piece.write(watch));
        }
        return manifests;
    }

    private static Matrix weight(Workbench bench, Plan.SitePlan site, Plan.LinearPlan linear, Stopwatch watch)
            throws IOException {
        return watch.time(Phase.LOAD, () -> bench.model().weight(bench.model().linear(site.layer(), linear.name())));
    }

    /** The scales of keys and values. */
    private static SiteManifest cache(Workbench bench, Gathered gathered, Stopwatch watch) throws IOException {
        float[] largest = Objects.requireNonNull(gathered.statistics().largest());
        List<FixedScale> scales = bench.format().cacheScales(bench.model().weightType());
        SitePiece piece = new SitePiece(bench, gathered);
        String name = gathered.site().name();
        for (int i = 0; i < scales.size(); i++) {
            piece.add(scales.get(i).spec(name), scales.get(i).pack(largest[i], name));
        }
        return piece.write(watch);
    }

    /** Of the weights that share an input: loaders join them, and want one divisor for all of their scales, or one scale. */
    private static float largest(Workbench bench, Plan.SitePlan site) throws IOException {
        float largest = 0;
        for (Plan.LinearPlan linear : site.linears()) {
            Matrix weight = bench.model().weight(bench.model().linear(site.layer(), linear.name()));
            largest = Math.max(largest, weight.largest());
        }
        return largest;
    }
}
