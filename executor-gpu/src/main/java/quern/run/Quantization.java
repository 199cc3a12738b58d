package quern.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.store.BlobStore;

/**
 * A plan carried out from its tokens to its last shard: which pass follows which, what a restart may leave out. What the
 * passes do stands in {@link Tasks}; who does them is a {@link PlanRunner}.
 */
public final class Quantization {
    private final Plan plan;
    private final PlanRunner runner;
    private final BlobStore output;
    private final Listener listener;
    private final Stopwatch watch = new Stopwatch();
    private final RunLog log;

    /** @param output the store that {@code plan.output()} names, with the tokens of each part already in the run's folder */
    public Quantization(Plan plan, PlanRunner runner, BlobStore output, Listener listener) throws IOException {
        this.plan = plan;
        this.runner = runner;
        this.output = output;
        this.listener = listener;
        this.log = RunLog.open(output, new RunFolder(plan.id()));
    }

    /** What came out of it. */
    public record Result(List<SiteManifest> sites, List<Tasks.ShardManifest> shards, Stopwatch watch) {}

    public Result run() throws IOException {
        if (!plan.gathering().any()) {
            listener.stage("layers", 0, plan.layers());
            runner.each(
                    plan,
                    "quantize",
                    new ArrayList<>(unfinished(0, plan.layers())),
                    (bench, site, w) -> Tasks.solve(bench, site, Statistics.NONE, w),
                    watch,
                    this::done);
        } else if (plan.layerParallel()) {
            layerParallel();
        } else {
            stages();
        }
        output.delete(new RunFolder(plan.id()).root() + "activations/");
        drawOn();
        output.delete(new RunFolder(plan.id()).hessians());
        listener.writing(plan.shards().size());
        List<SiteManifest> sites = log.sites();
        HashMap<String, String> pieceOfLinear = new HashMap<>();
        sites.forEach(s -> s.linears().forEach(l -> pieceOfLinear.put(l.name(), s.file())));
        List<Tasks.ShardManifest> shards = new ArrayList<>();
        runner.each(
                plan,
                "write shards",
                plan.shards(),
                (bench, shard, w) -> Tasks.shard(bench, shard, pieceOfLinear, w),
                watch,
                shards::add);
        return new Result(sites, shards, watch);
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
            if (unfinished(from, to).isEmpty() && (!feeds || hasActivations(to))) {
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
        if (!starts.isEmpty() && !starts.stream().allMatch(this::startIsSettled)) {
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
    private boolean startIsSettled(int layer) {
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
        listener.stage("layers " + stage.begin() + " to " + (stage.end() - 1), stage.begin(), stage.end());
        for (int layer = stage.begin(); layer < stage.end(); layer++) {
            if (log.layerIsDone(plan, layer)) {
                continue;
            }
            boolean trueSequential = plan.recipe().trueSequential();
            List<Integer> ranks = plan.ranks(layer);
            for (int rank : trueSequential ? ranks : ranks.subList(0, 1)) {
                if (trueSequential && rankIsDone(layer, rank)) {
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
        List<Tasks.Uncovered> waiting = new ArrayList<>();
        Map<Long, Plan.SitePlan> sites = PassTiles.byKey(pass.sites(plan));
        runner.calibrate(
                plan,
                pass,
                watch,
                manifest -> {
                    Plan.SitePlan site = Objects.requireNonNull(sites.get(manifest.key()));
                    if (!manifest.isWaiting()) {
                        done(manifest);
                    } else if (!site.isPool()) {
                        waiting.add(new Tasks.Uncovered(site, 0));
                    }
                },
                left);
        runner.each(
                plan, "quantize experts that few tokens reached", waiting, Tasks::solveUncovered, watch, this::done);
    }

    /**
     * Further text, round after round, for the experts that fewer tokens reached than they have inputs, until all are covered or there is
     * no more. It goes through the model in full precision, and only their Hessians are gathered. They are then quantized anew.
     */
    private void drawOn() throws IOException {
        Map<Long, Plan.SitePlan> sites = PassTiles.byKey(plan.sites());
        Map<Plan.SitePlan, Integer> roundOfSite = new LinkedHashMap<>();
        List<Plan.SitePlan> open = new ArrayList<>();
        for (SiteManifest manifest : log.sites()) {
            Plan.SitePlan site = Objects.requireNonNull(sites.get(manifest.key()));
            if (site.ofExpert() && manifest.tokens() < site.inputs() && manifest.further() < 0) {
                open.add(site);
            }
        }
        for (int round = 1; round <= plan.calibration().further().rounds().size() && !open.isEmpty(); round++) {
            Map<Long, Long> tokens = new HashMap<>();
            runner.calibrate(plan, Pass.further(round, open), watch, m -> tokens.put(m.key(), m.tokens()), () -> {});
            for (Plan.SitePlan site : open) {
                roundOfSite.put(site, round);
            }
            open.removeIf(site -> Objects.requireNonNull(tokens.get(PassTiles.siteKey(site))) >= site.inputs());
        }
        List<Tasks.Uncovered> again = new ArrayList<>();
        roundOfSite.forEach((site, round) -> again.add(new Tasks.Uncovered(site, round)));
        runner.each(plan, "quantize experts with further text", again, Tasks::solveUncovered, watch, this::done);
    }

    private boolean rankIsDone(int layer, int rank) {
        return plan.sites(layer, layer + 1).stream()
                .filter(s -> s.rank() == rank)
                .allMatch(s -> log.siteIsDone(layer, s.index()));
    }

    private List<Plan.SitePlan> unfinished(int from, int to) {
        return plan.sites(from, to).stream()
                .filter(s -> !log.siteIsDone(s.layer(), s.index()))
                .toList();
    }

    private boolean hasActivations(int layer) throws IOException {
        return output.list(new RunFolder(plan.id()).activations(layer)).size()
                == plan.calibration().parts().size();
    }

    private void forgetActivations(int layer) throws IOException {
        output.delete(new RunFolder(plan.id()).activations(layer));
    }

    private synchronized void done(SiteManifest manifest) throws IOException {
        log.add(manifest);
        listener.site(manifest, layerLosses(manifest.layer()));
    }

    /** Loss over round-to-nearest's of the finished linears of a layer. */
    private double layerLosses(int layer) {
        Map<String, double[]> losses = new TreeMap<>();
        for (SiteManifest site : log.sites()) {
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
         * A site is done.
         *
         * @param lossRatio the layer's loss so far over that of round-to-nearest
         */
        void site(SiteManifest manifest, double lossRatio);

        /** All sites are done; shards are written. */
        void writing(int shards);

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
