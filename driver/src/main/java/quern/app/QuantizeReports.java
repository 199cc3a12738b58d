package quern.app;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.calibration.TokenWindows;
import quern.evaluate.Score;
import quern.model.Model;
import quern.plan.Plan;
import quern.progress.Progress;
import quern.report.Report;
import quern.run.MixedWidths;
import quern.run.Quantization;
import quern.run.shard.ShardTasks;
import quern.run.workbench.Phase;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.StoreOpener;
import quern.spark.EvaluationJob;
import quern.spark.SparkRunner;

/** What is reported of a checkpoint that was just written, measured and put together from manifests. */
final class QuantizeReports {
    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final QuantizeSettings settings;
    private final Progress progress;
    private final long started = System.nanoTime();
    private @Nullable Score before; // of the model in full precision

    QuantizeReports(JavaSparkContext spark, StoreOpener stores, QuantizeSettings settings, Progress progress) {
        this.spark = spark;
        this.stores = stores;
        this.settings = settings;
        this.progress = progress;
    }

    /** @param choice of widths, where a target asked for them */
    Report of(
            Plan plan,
            SparkRunner runner,
            Model model,
            Quantization.Result result,
            MixedWidths.@Nullable Choice choice) {
        Map<String, Double> seconds = new LinkedHashMap<>();
        for (Phase phase : Phase.values()) {
            seconds.put(phase.label(), result.watch().seconds(phase));
        }
        Map<Long, Plan.SitePlan> sites = Plan.SitePlan.byKey(plan.sites());
        Map<String, Integer> bits = new HashMap<>();
        for (Plan.SitePlan site : plan.sites()) {
            site.linears().forEach(l -> bits.put(l.name(), l.scheme().bits()));
        }
        List<Report.Linear> linears = new ArrayList<>();
        for (SiteManifest site : result.sites()) {
            int expert = Objects.requireNonNull(sites.get(site.key())).expert();
            for (SiteManifest.LinearManifest l : site.linears()) {
                linears.add(new Report.Linear(
                        site.layer(),
                        l.name(),
                        withinLayer(site.layer(), l.name()),
                        expert,
                        site.tokens(),
                        l.outputs(),
                        l.inputs(),
                        Objects.requireNonNull(bits.get(l.name())),
                        l.loss(),
                        l.roundToNearest(),
                        l.notes()));
            }
        }
        TokenWindows tokens = settings.calibration();
        Map<String, Long> peaks = Cluster.peakMemory(spark);
        return new Report(
                settings.name(),
                model.config().modelType(),
                settings.source(),
                plan.lossy() == null ? null : PlanText.lossy(plan.lossy()),
                plan.output(),
                plan.recipe(),
                PlanText.propagation(plan),
                tokens == null
                        ? null
                        : new Report.Calibration(
                                tokens.source(),
                                tokens.windows().size(),
                                tokens.length(),
                                tokens.tokens(),
                                tokens.sha256()),
                PlanText.lines(plan),
                linears,
                seconds,
                (System.nanoTime() - started) / 1e9,
                new Report.Machine(plan.deviceType(), runner.name(), peaks.size()),
                new Report.Memory(plan.cost().memoryBytes() * plan.cost().slots(), peaks, squeezed(result.watch())),
                size(plan, model, result),
                choice == null
                        ? null
                        : new Report.Widths(
                                Objects.requireNonNull(settings.targetBpw()),
                                choice.bitsPerWeight(),
                                choice.curve().stream()
                                        .map(p -> new Report.Point(p.bitsPerWeight(), p.loss()))
                                        .toList()),
                evaluation(plan),
                Version.all());
    }

    private static List<String> squeezed(Stopwatch watch) {
        return Arrays.stream(Squeeze.values())
                .filter(squeeze -> watch.times(squeeze) > 0)
                .map(squeeze -> squeeze.sentence(watch.times(squeeze)))
                .toList();
    }

    /** {@code self_attn.q_proj} of {@code model.layers.3.self_attn.q_proj}. */
    private static String withinLayer(int layer, String linear) {
        return linear.replaceFirst("^.*?\\." + layer + "\\.", "");
    }

    private Report.@Nullable Evaluation evaluation(Plan plan) {
        TokenWindows text = settings.evaluation();
        if (text == null) {
            return null;
        }
        progress.say("evaluating on %s, %d windows of %d tokens"
                .formatted(text.source(), text.windows().size(), text.length()));
        Score full = before;
        if (full == null) {
            full = EvaluationJob.run(spark, stores, plan.model(), null, text.windows(), settings.device());
            before = full;
        }
        Score after = EvaluationJob.run(spark, stores, plan.output(), plan.model(), text.windows(), settings.device());
        return new Report.Evaluation(
                text.source(),
                text.windows().size(),
                text.length(),
                full.perplexity(),
                after.perplexity(),
                after.meanKl(),
                after.agreement());
    }

    private static Report.Size size(Plan plan, Model model, Quantization.Result result) {
        long before = model.source().stored().names().stream()
                .mapToLong(n -> model.source().stored().spec(n).bytes())
                .sum();
        long after = result.shards().stream()
                .mapToLong(ShardTasks.ShardManifest::bytes)
                .sum();
        long packed = plan.shards().stream()
                .flatMap(s -> s.tensors().stream())
                .filter(t -> !t.linear().isEmpty())
                .mapToLong(t -> t.spec().bytes())
                .sum();
        long weights = plan.sites().stream()
                .flatMap(s -> s.linears().stream())
                .mapToLong(l -> (long) l.outputs() * l.inputs())
                .sum();
        return new Report.Size(before, after, weights == 0 ? 0 : 8.0 * packed / weights);
    }
}
