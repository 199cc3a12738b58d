package quern.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.calibration.TokenWindows;
import quern.evaluate.Score;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.progress.Progress;
import quern.report.Report;
import quern.run.CalibrationTokens;
import quern.run.PassTiles;
import quern.run.Phase;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.RunFolder;
import quern.run.SiteManifest;
import quern.run.Stopwatch;
import quern.run.StoreOpener;
import quern.run.Tasks;
import quern.run.Verification;
import quern.run.Workbench;
import quern.scheme.Recipe;
import quern.spark.EvaluationJob;
import quern.spark.SparkRunner;
import quern.store.BlobStore;
import quern.store.Checkpoint;

/** One {@code quern quantize} from its plan to its report. */
final class QuantizeJob {
    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final Settings settings;
    private final Progress progress;
    private final long started = System.nanoTime();

    QuantizeJob(JavaSparkContext spark, StoreOpener stores, Settings settings, Progress progress) {
        this.spark = spark;
        this.stores = stores;
        this.settings = settings;
        this.progress = progress;
    }

    /**
     * @param name what a person calls the model
     * @param source where it is
     * @param output where the result goes
     * @param stages 0 for the default of the width
     * @param calibration none where the method needs none
     * @param further windows for experts that too few tokens reach, none where there are no experts
     * @param evaluation what to measure before and after on, or nothing
     */
    record Settings(
            String name,
            String source,
            String output,
            Recipe recipe,
            int stages,
            long maxShardBytes,
            boolean resume,
            @Nullable TokenWindows calibration,
            @Nullable TokenWindows further,
            @Nullable TokenWindows evaluation) {}

    static Plan plan(JavaSparkContext spark, StoreOpener stores, Settings settings) throws IOException {
        Model model = Model.open(stores.open(settings.source()));
        return Planner.plan(
                model,
                new Planner.Request(
                        settings.source(),
                        settings.output(),
                        settings.recipe(),
                        settings.stages(),
                        settings.maxShardBytes(),
                        tokens(settings.calibration(), settings.further()),
                        Cluster.machine(spark, model.operands())));
    }

    private static Planner.@Nullable Tokens tokens(@Nullable TokenWindows asked, @Nullable TokenWindows further) {
        if (asked == null) {
            return null;
        }
        int sequences = asked.windows().size();
        return further == null
                ? new Planner.Tokens(asked.source(), asked.sha256(), sequences, asked.length())
                : new Planner.Tokens(
                        asked.source(),
                        asked.sha256(),
                        sequences,
                        asked.length(),
                        further.windows().size(),
                        further.sha256());
    }

    Report run() throws IOException {
        Plan plan = plan(spark, stores, settings);
        BlobStore output = stores.open(settings.output());
        OutputFolder.claim(output, plan, settings.resume());
        OutputFolder.begin(output, plan);
        try {
            PlanText.lines(plan).forEach(progress::say);
            Sight sight = new Sight(spark, stores);
            sight.require("write to", settings.output(), new RunFolder(plan.id()).plan());
            return sight.reaches(plan.model(), "config.json")
                    ? run(plan, output)
                    : run(new SourceCopy(stores.open(plan.model()), output, progress).of(plan), output);
        } catch (QuernException e) {
            OutputFolder.clean(output); // what the user must mend is not mended by going on
            throw e;
        }
    }

    private Report run(Plan plan, BlobStore output) throws IOException {
        TokenWindows tokens = settings.calibration();
        if (tokens != null) {
            List<int[]> windows = new ArrayList<>(tokens.windows());
            if (settings.further() != null) {
                windows.addAll(settings.further().windows());
            }
            CalibrationTokens.write(output, plan, windows);
        }
        SparkRunner runner = new SparkRunner(spark, stores);
        Quantization.Result result;
        try (LayerProgress watched = new LayerProgress(plan, progress)) {
            result = new Quantization(plan, runner, output, watched).run();
        }
        Model model = Model.open(stores.open(settings.source()));
        Report report = new Publication(plan, model, output)
                .publish(result.shards(), Map.of("quern", Version.NUMBER, "model", settings.name()), files -> {
                    verify(plan, runner, output);
                    Report facts = report(plan, runner, model, result);
                    write(output, "report.json", facts.json());
                    write(output, "report.html", facts.html());
                    files.addAll(List.of("report.json", "report.html"));
                    return facts;
                });
        Workbench.release(plan);
        output.delete(RunFolder.ROOT);
        return report;
    }

    /** Promise 6: nothing is called done before it has been read again. */
    private void verify(Plan plan, SparkRunner runner, BlobStore output) throws IOException {
        List<String> findings = new ArrayList<>(Verification.names(plan, Checkpoint.open(output)));
        runner.each(
                plan,
                "verify",
                new ArrayList<>(plan.sites()),
                (bench, site, watch) -> Verification.site(bench, site),
                new Stopwatch(),
                findings::addAll);
        if (!findings.isEmpty()) {
            throw new IllegalStateException("What was written does not hold: " + String.join("; ", findings));
        }
    }

    private Report report(Plan plan, SparkRunner runner, Model model, Quantization.Result result) {
        Map<String, Double> seconds = new LinkedHashMap<>();
        for (Phase phase : Phase.values()) {
            seconds.put(phase.label(), result.watch().seconds(phase));
        }
        Map<Long, Plan.SitePlan> sites = PassTiles.byKey(plan.sites());
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
                settings.output(),
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
                new Report.Memory(plan.cost().memoryBytes() * plan.cost().slots(), peaks),
                size(plan, model, result),
                evaluation(plan),
                Version.all());
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
        Score before = EvaluationJob.run(spark, stores, plan.model(), null, text.windows());
        Score after = EvaluationJob.run(spark, stores, settings.output(), plan.model(), text.windows());
        return new Report.Evaluation(
                text.source(),
                text.windows().size(),
                text.length(),
                before.perplexity(),
                after.perplexity(),
                after.meanKl(),
                after.agreement());
    }

    private static Report.Size size(Plan plan, Model model, Quantization.Result result) {
        long before = model.source().stored().names().stream()
                .mapToLong(n -> model.source().stored().spec(n).bytes())
                .sum();
        long after =
                result.shards().stream().mapToLong(Tasks.ShardManifest::bytes).sum();
        long packed = plan.shards().stream()
                .flatMap(s -> s.tensors().stream())
                .filter(t -> !t.linear().isEmpty())
                .mapToLong(t -> t.spec().bytes())
                .sum();
        long weights = plan.sites().stream()
                .flatMap(s -> s.linears().stream())
                .mapToLong(l -> (long) l.outputs() * l.inputs())
                .sum();
        return new Report.Size(before, after, 8.0 * packed / weights);
    }

    private static void write(BlobStore output, String file, String text) throws IOException {
        output.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }
}
