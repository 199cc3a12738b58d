package quern.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.run.pass.Gathered;
import quern.run.pass.PassTiles;
import quern.run.pass.SiteTasks;
import quern.run.shard.ShardTasks;
import quern.run.workbench.Pass;
import quern.run.workbench.RunFolder;
import quern.run.workbench.SideBySide;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.StoreOpener;
import quern.store.BlobStore;

/**
 * A plan carried out from its tokens to its last shard: which pass follows which, what a restart may leave out. What the
 * passes do stands in {@link PassTiles}, {@link SiteTasks} and {@link ShardTasks}; who does them is a {@link PlanRunner}.
 */
public final class Quantization {
    private final Plan plan; // what gathers
    private final List<Plan> solved;
    private final PlanRunner runner;
    private final Listener listener;
    private final Stopwatch watch = new Stopwatch();
    private final StoreOpener stores;
    private final BlobStore output; // of what gathers
    private final Map<String, RunLog> logs = new HashMap<>(); // of each plan, by id

    /**
     * @param solved one plan, or several of one model and calibration, whose layers do not wait for each other
     * @param stores opens the output of each, with the tokens of each part already in the run's folder of {@link #gathering}
     */
    public Quantization(List<Plan> solved, PlanRunner runner, StoreOpener stores, Listener listener)
            throws IOException {
        this.plan = gathering(solved);
        this.solved = List.copyOf(solved);
        this.runner = runner;
        this.stores = stores;
        this.output = stores.open(plan.output());
        this.listener = listener;
        for (Plan each : solved) {
            logs.put(each.id(), RunLog.open(stores.open(each.output()), new RunFolder(each.id())));
        }
    }

    /** What gathers for these plans: their calibration is in its folder. */
    public static Plan gathering(List<Plan> plans) {
        List<Plan> gather = plans.stream().filter(p -> p.gathering().any()).toList();
        return Plan.together(gather.isEmpty() ? plans.subList(0, 1) : gather);
    }

    /** What came out of one plan. */
    public record Result(List<SiteManifest> sites, List<ShardTasks.ShardManifest> shards, Stopwatch watch) {}

    /** The one plan, to its last shard. */
    public Result run() throws IOException {
        solve();
        return write(solved.get(0), sites(solved.get(0)));
    }

    /** Quantizes all sites of all plans; those that go from file to file do so when their shards are written. */
    public void solve() throws IOException {
        fit();
        for (Plan each : solved) {
            if (!each.gathering().any() && !each.casts()) {
                listener.stage("layers", 0, plan.layers());
                runner.each(
                        each,
                        "quantize",
                        unfinished(each, 0, plan.layers()),
                        (bench, site, w) -> SiteTasks.solve(bench, new Gathered(site, Statistics.NONE), w),
                        watch,
                        this::done);
            }
        }
        if (plan.gathering().any()) {
            if (plan.layerParallel() || solved.size() > 1) {
                layerParallel();
            } else {
                stages();
            }
            output.delete(new RunFolder(plan.id()).root() + "activations/");
            drawOn();
        }
    }

    /** What was made of the sites of a plan. */
    public List<SiteManifest> sites(Plan one) {
        return log(one).sites();
    }

    /**
     * Writes the shards of a plan.
     *
     * @param sites where the pieces of all its linears are
     */
    public Result write(Plan one, List<SiteManifest> sites) throws IOException {
        if (one.casts()) {
            return new Casting(one, runner, stores.open(one.output()), listener).run(watch);
        }
        listener.writing(one.shards().size());
        HashMap<String, String> pieceOfLinear = new HashMap<>();
        sites.forEach(s -> s.linears().forEach(l -> pieceOfLinear.put(l.name(), s.file())));
        Map<Long, Plan.SitePlan> sitesOfPlan = Plan.SitePlan.byKey(one.sites());
        for (SiteManifest manifest : sites) {
            Plan.SitePlan site = sitesOfPlan.get(manifest.key());
            if (site != null && site.isCache()) {
                pieceOfLinear.put(site.name(), manifest.file());
            }
        }
        List<ShardTasks.ShardManifest> shards = new ArrayList<>();
        runner.each(
                one,
                "write shards",
                one.shards(),
                (bench, shard, w) -> ShardTasks.shard(bench, shard, pieceOfLinear, w),
                watch,
                shards::add);
        return new Result(sites, shards, watch);
    }

    private RunLog log(Plan one) {
        return Objects.requireNonNull(logs.get(one.id()));
    }

    /**
     * Fits the transform to the inputs of sites, in waves of layers through the model as it is. What it finds for a site depends on no
     * other, since the transformed model computes the same.
     */
    private void fit() throws IOException {
        List<Plan.SitePlan> fitted =
                plan.sites().stream().filter(Plan.SitePlan::fitted).toList();
        RunFolder folder = new RunFolder(plan.id());
        if (fitted.isEmpty() || output.exists(folder.fitted())) {
            return;
        }
        int layers = fitted.get(fitted.size() - 1).layer() + 1;
        int wave = plan.calibration().wave();
        Set<String> done = Set.copyOf(output.list(folder.vectors()));
        for (int from = 0; from < layers; from += wave) {
            int begin = from;
            int end = Math.min(from + wave, layers);
            listener.fitting(begin, end, layers);
            List<Plan.SitePlan> open = fitted.stream()
                    .filter(site -> site.layer() >= begin && site.layer() < end)
                    .filter(site -> !done.contains(folder.vector(site.layer(), site.index())))
                    .toList();
            boolean feeds = end < layers;
            if (!open.isEmpty() || (feeds && !hasActivations(end))) {
                Pass pass = Pass.fitting(begin, end, feeds ? List.of(end) : List.of(), open);
                runner.calibrate(plan, List.of(plan), pass, watch, manifest -> {}, () -> {});
            }
            if (begin > 0) {
                forgetActivations(begin);
            }
        }
        output.delete(folder.root() + "activations/");
        output.write(folder.fitted(), out -> {});
    }

    /**
     * Every layer is a stage: waves of layers, whose pass with taps also feeds the next wave. That begins when it is fed,
     * while sites of the one before are still solved.
     */
    private void layerParallel() throws IOException {
        int layers = plan.layers();
        int wave = plan.calibration().wave();
        listener.stage("layers", 0, layers);
        List<Callable<Boolean>> calls = new ArrayList<>();
        CountDownLatch fed = new CountDownLatch(0);
        for (int from = 0; from < layers; from += wave) {
            int to = Math.min(from + wave, layers);
            boolean feeds = to < layers;
            if (isFinished(from, to) && (!feeds || isFinished(to, layers) || hasActivations(to))) {
                continue;
            }
            Pass pass = new Pass(from, to, from, -1, feeds ? List.of(to) : List.of(), List.of());
            CountDownLatch ready = fed;
            CountDownLatch left = new CountDownLatch(1);
            fed = left;
            calls.add(() -> {
                ready.await();
                calibrate(pass, left::countDown);
                if (pass.from() > 0) {
                    forgetActivations(pass.from());
                }
                return true;
            });
        }
        if (!calls.isEmpty()) {
            SideBySide.run(calls.size(), calls);
        }
    }

    /** One stage, or several side by side from full-precision inputs. */
    private void stages() throws IOException {
        List<Plan.Stage> stages = plan.stages();
        List<Integer> starts =
                stages.stream().map(Plan.Stage::begin).filter(b -> b > 0).toList();
        RunLog log = log(plan);
        if (!starts.isEmpty() && !starts.stream().allMatch(layer -> startIsSettled(log, layer))) {
            listener.stage("boundary pass", 0, starts.get(starts.size() - 1));
            Pass boundary = new Pass(0, starts.get(starts.size() - 1), plan.layers(), -1, starts, List.of());
            calibrate(boundary, () -> {});
        }
        List<Callable<Boolean>> calls = new ArrayList<>();
        for (Plan.Stage stage : stages) {
            calls.add(() -> {
                layerByLayer(stage);
                return true;
            });
        }
        SideBySide.run(stages.size(), calls);
    }

    /** Whether a stage's input is stored, or the stage has already gone beyond needing it. */
    private boolean startIsSettled(RunLog log, int layer) {
        try {
            return hasActivations(layer) || log.layerIsDone(plan, layer);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Each layer sees the quantized layers before it: the pass of layer l first runs the quantized layer l - 1, keeps what
     * leaves it, then taps layer l.
     */
    private void layerByLayer(Plan.Stage stage) throws IOException {
        RunLog log = log(plan); // the one plan: several have every layer as a stage
        listener.stage("layers " + stage.begin() + " to " + (stage.end() - 1), stage.begin(), stage.end());
        for (int layer = stage.begin(); layer < stage.end(); layer++) {
            if (log.layerIsDone(plan, layer)) {
                continue;
            }
            boolean trueSequential = plan.recipe().trueSequential();
            List<Integer> ranks = plan.ranks(layer);
            for (int rank : trueSequential ? ranks : ranks.subList(0, 1)) {
                if (trueSequential && rankIsDone(log, layer, rank)) {
                    continue;
                }
                boolean stored = layer == stage.begin() || hasActivations(layer);
                int from = stored ? layer : layer - 1;
                List<Integer> keep = stored ? List.of() : List.of(layer);
                List<SiteManifest> quantized = log.before(plan, stage, layer, trueSequential ? rank : 0);
                calibrate(new Pass(from, layer + 1, layer, trueSequential ? rank : -1, keep, quantized), () -> {});
            }
            if (layer - 1 > stage.begin()) {
                forgetActivations(layer - 1);
            }
        }
    }

    /** A pass, and then the sites whose Hessians wait for others. */
    private void calibrate(Pass pass, Runnable left) throws IOException {
        Map<String, List<SiteTasks.Uncovered>> waiting = new HashMap<>();
        Map<Long, Plan.SitePlan> sites = Plan.SitePlan.byKey(pass.sites(plan));
        runner.calibrate(
                plan,
                gathered(),
                pass,
                watch,
                manifest -> {
                    Plan.SitePlan site = Objects.requireNonNull(sites.get(manifest.key()));
                    if (!manifest.hasNoPiece()) {
                        done(manifest);
                    } else if (!site.isPool()) {
                        waiting.computeIfAbsent(manifest.plan(), id -> new ArrayList<>())
                                .add(new SiteTasks.Uncovered(manifest.key(), 0));
                    }
                },
                left);
        solveUncovered("quantize experts that few tokens reached", waiting);
    }

    /** The plans that what gathers gathers for. */
    private List<Plan> gathered() {
        return solved.stream().filter(each -> each.gathering().any()).toList();
    }

    private void solveUncovered(String name, Map<String, List<SiteTasks.Uncovered>> waiting) throws IOException {
        for (Plan each : gathered()) {
            runner.each(
                    each,
                    name,
                    waiting.getOrDefault(each.id(), List.of()),
                    SiteTasks::solveUncovered,
                    watch,
                    this::done);
        }
    }

    /**
     * Further text, round after round, for the experts that fewer tokens reached than they have inputs, until all are covered or there is
     * no more. It goes through the model in full precision, and only their Hessians are gathered. They are then quantized anew.
     */
    private void drawOn() throws IOException {
        Map<Long, Plan.SitePlan> sites = Plan.SitePlan.byKey(plan.sites());
        Map<Long, Plan.SitePlan> open = new TreeMap<>();
        for (Plan each : gathered()) {
            for (SiteManifest manifest : sites(each)) {
                Plan.SitePlan site = Objects.requireNonNull(sites.get(manifest.key()));
                if (site.ofExpert() && manifest.tokens() < site.inputs() && manifest.further() < 0) {
                    open.put(manifest.key(), site);
                }
            }
        }
        Map<Long, Integer> roundOfSite = new TreeMap<>();
        for (int round = 1; round <= plan.calibration().further().rounds().size() && !open.isEmpty(); round++) {
            Map<Long, Long> tokens = new HashMap<>();
            runner.calibrate(
                    plan,
                    gathered(),
                    Pass.further(round, List.copyOf(open.values())),
                    watch,
                    m -> tokens.put(m.key(), m.tokens()),
                    () -> {});
            for (long site : open.keySet()) {
                roundOfSite.put(site, round);
            }
            open.values().removeIf(site -> Objects.requireNonNull(tokens.get(site.key())) >= site.inputs());
        }
        Map<String, List<SiteTasks.Uncovered>> again = new HashMap<>();
        for (Plan each : gathered()) {
            for (SiteManifest manifest : sites(each)) {
                Integer round = roundOfSite.get(manifest.key());
                if (round != null) {
                    again.computeIfAbsent(each.id(), id -> new ArrayList<>())
                            .add(new SiteTasks.Uncovered(manifest.key(), round));
                }
            }
        }
        solveUncovered("quantize experts with further text", again);
        for (Plan each : solved) {
            log(each).forgetHessians();
        }
    }

    private boolean rankIsDone(RunLog log, int layer, int rank) {
        return plan.sites(layer, layer + 1).stream()
                .filter(s -> s.rank() == rank)
                .allMatch(s -> log.siteIsDone(layer, s.index()));
    }

    private List<Plan.SitePlan> unfinished(Plan one, int from, int to) {
        RunLog log = log(one);
        return one.sites(from, to).stream()
                .filter(s -> !log.siteIsDone(s.layer(), s.index()))
                .toList();
    }

    private boolean isFinished(int from, int to) {
        return gathered().stream().allMatch(each -> unfinished(each, from, to).isEmpty());
    }

    private boolean hasActivations(int layer) throws IOException {
        return output.list(new RunFolder(plan.id()).activations(layer)).size()
                == plan.calibration().parts().size();
    }

    private void forgetActivations(int layer) throws IOException {
        output.delete(new RunFolder(plan.id()).activations(layer));
    }

    private synchronized void done(SiteManifest manifest) throws IOException {
        Objects.requireNonNull(logs.get(manifest.plan())).add(manifest);
        if (manifest.plan().equals(solved.get(0).id())) {
            listener.site(manifest, layerLosses(manifest.layer()));
        }
    }

    /** Loss over round-to-nearest's of the finished linears of a layer of the first plan. */
    private double layerLosses(int layer) {
        Map<String, double[]> losses = new TreeMap<>();
        for (SiteManifest site : sites(solved.get(0))) {
            if (site.layer() == layer) {
                site.linears().forEach(l -> losses.put(l.name(), new double[] {l.loss(), l.roundToNearest()}));
            }
        }
        double ours = losses.values().stream().mapToDouble(l -> l[0]).sum();
        double nearest = losses.values().stream().mapToDouble(l -> l[1]).sum();
        return nearest == 0 ? 1 : ours / nearest;
    }

    /** Hears how a run goes on. Calls come one at a time for a stage. */
    public interface Listener {
        /** A stage begins: layers [begin, end). */
        void stage(String name, int begin, int end);

        /**
         * A site of the first plan is done.
         *
         * @param lossRatio the layer's loss so far over that of round-to-nearest
         */
        void site(SiteManifest manifest, double lossRatio);

        /** The transform is fitted to layers [begin, end), of so many. */
        default void fitting(int begin, int end, int layers) {}

        /** All sites are done; shards are written. */
        void writing(int shards);

        /** Without calibration: these shards are written, straight from the source. */
        default void casting(List<Plan.Shard> shards) {}

        /** One of them is done. */
        default void cast(ShardTasks.ShardManifest shard) {}

        Listener SILENT = new Listener() {
            @Override
            public void stage(String name, int begin, int end) {}

            @Override
            public void site(SiteManifest manifest, double lossRatio) {}

            @Override
            public void writing(int shards) {}
        };
    }
}
