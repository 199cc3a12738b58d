package quern.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.calibration.TokenWindows;
import quern.evaluate.Score;
import quern.format.Container;
import quern.format.Formats;
import quern.model.Model;
import quern.plan.Gathering;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.progress.Progress;
import quern.report.Report;
import quern.run.CalibrationTokens;
import quern.run.MixedWidths;
import quern.run.PassTiles;
import quern.run.Phase;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.RunFolder;
import quern.run.SiteManifest;
import quern.run.StoreOpener;
import quern.run.Tasks;
import quern.run.Verification;
import quern.run.Workbench;
import quern.scheme.Recipe;
import quern.spark.EvaluationJob;
import quern.spark.SparkRunner;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.tensor.TensorSource;
import quern.transform.Transforms;

/** One {@code quern quantize} from its plan to its report. */
final class QuantizeJob {
    /** Those that are tried for a target of bits a weight. */
    private static final List<Integer> WIDTHS = List.of(2, 3, 4, 8);

    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final Settings settings;
    private final Progress progress;
    private final long started = System.nanoTime();
    private @Nullable Score before; // of the model in full precision

    QuantizeJob(JavaSparkContext spark, StoreOpener stores, Settings settings, Progress progress) {
        this.spark = spark;
        this.stores = stores;
        this.settings = settings;
        this.progress = progress;
    }

    /**
     * @param name what a person calls the model
     * @param source where it is
     * @param outputs what is made of it; several share the calibration
     * @param targetBpw what the widths of linears come to; null where the recipe says them
     * @param stages 0 for the default of the width
     * @param calibration none where the method needs none
     * @param further windows for experts that too few tokens reach, none where there are no experts
     * @param evaluation what to measure before and after on, or nothing
     */
    record Settings(
            String name,
            String source,
            List<Output> outputs,
            @Nullable Double targetBpw,
            int stages,
            long maxShardBytes,
            boolean resume,
            @Nullable TokenWindows calibration,
            @Nullable TokenWindows further,
            @Nullable TokenWindows evaluation) {}

    /** @param folder where the result goes */
    record Output(String folder, Recipe recipe) {}

    static List<Plan> plans(JavaSparkContext spark, StoreOpener stores, Settings settings) throws IOException {
        Model model = Model.open(stores.open(settings.source()));
        Planner.Machine machine = Cluster.machine(spark, model.operands());
        refuseModels(settings);
        if (settings.targetBpw() != null) {
            List<Plan> widths = widths(settings, model, machine);
            new MixedWidths(transformed(settings, model), widths).require(settings.targetBpw());
            return widths;
        }
        List<Plan> plans = new ArrayList<>();
        for (Output output : settings.outputs()) {
            Plan plan = plan(settings, model, machine, output);
            for (Plan other : plans) {
                if (other.id().equals(plan.id())) {
                    throw new QuernException(
                            "Cannot quantize twice alike: what goes to %s is what goes to %s (leave one away)"
                                    .formatted(plan.output(), other.output()));
                }
            }
            plans.add(plan);
        }
        return plans;
    }

    /** What is calibrated together is one model: a transform that is fitted makes another for each recipe. */
    private static void refuseModels(Settings settings) {
        boolean several = settings.outputs().size() > 1 || settings.targetBpw() != null;
        String first = settings.outputs().get(0).recipe().transform();
        for (Output output : settings.outputs()) {
            String transform = output.recipe().transform();
            if (several && (Transforms.named(transform).fitted() || !transform.equals(first))) {
                throw new QuernException(
                        "Cannot use transform %s with %s: what is calibrated together is one model (use one recipe and one width at a time%s)"
                                .formatted(
                                        transform.equals(Recipe.UNCHANGED) ? first : transform,
                                        settings.targetBpw() != null ? "--target-bpw" : "several recipes",
                                        Transforms.named(transform).fitted()
                                                ? ""
                                                : ", or the same transform in all recipes"));
            }
        }
    }

    /** The one model of all outputs. */
    private static Model transformed(Settings settings, Model model) {
        return Planner.transformed(model, settings.outputs().get(0).recipe());
    }

    private static Plan plan(Settings settings, Model model, Planner.Machine machine, Output output)
            throws IOException {
        Planner.Tokens tokens =
                Planner.calibrates(output.recipe()) ? tokens(settings.calibration(), settings.further()) : null;
        return Planner.plan(
                model,
                new Planner.Request(
                        settings.source(),
                        output.folder(),
                        output.recipe(),
                        settings.stages(),
                        settings.maxShardBytes(),
                        tokens,
                        machine));
    }

    /** The one recipe at each width that its format has. */
    private static List<Plan> widths(Settings settings, Model model, Planner.Machine machine) throws IOException {
        Output output = settings.outputs().get(0);
        if (!Formats.named(output.recipe().format()).mixes()) {
            throw new QuernException(
                    "Cannot use --target-bpw with format %s: its config has one width for all linears (use --format gptq or compressed-tensors)"
                            .formatted(output.recipe().format()));
        }
        if (!Gathering.of(output.recipe()).hessians()) {
            throw new QuernException(
                    "Cannot use --target-bpw with method %s: what a width costs is told by Hessians (use --method gptq)"
                            .formatted(output.recipe().method()));
        }
        List<Plan> plans = new ArrayList<>();
        for (int bits : WIDTHS) {
            Recipe recipe = output.recipe().with(bits, List.of());
            plans.add(plan(settings, model, machine, new Output(output.folder(), recipe)));
        }
        return plans;
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

    List<Report> run() throws IOException {
        List<Plan> asked = plans(spark, stores, settings);
        List<Plan> plans = settings.resume() ? unfinished(asked) : asked;
        Plan gathering = Quantization.gathering(plans);
        for (Plan plan : plans) {
            OutputFolder.claim(stores.open(plan.output()), plan, settings.resume());
        }
        for (Plan plan : plans) {
            OutputFolder.begin(stores.open(plan.output()), plan);
        }
        try {
            PlanText.lines(plans).forEach(progress::say);
            Sight sight = new Sight(spark, stores);
            for (Plan plan : plans) {
                sight.require("write to", plan.output(), new RunFolder(plan.id()).plan());
            }
            if (sight.reaches(gathering.model(), "config.json")) {
                return run(plans);
            }
            SourceCopy copy = new SourceCopy(stores.open(gathering.model()), stores.open(gathering.output()), progress);
            String elsewhere = copy.of(gathering).model();
            return run(plans.stream().map(plan -> plan.from(elsewhere)).toList());
        } catch (QuernException e) {
            for (Plan plan : plans) {
                OutputFolder.clean(stores.open(plan.output())); // what the user must mend is not mended by going on
            }
            throw e;
        }
    }

    /** Of several outputs those that a run which was cut off had not finished; all where there is nothing to leave out. */
    private List<Plan> unfinished(List<Plan> asked) throws IOException {
        List<Plan> plans = new ArrayList<>();
        for (Plan plan : asked) {
            BlobStore output = stores.open(plan.output());
            if (!OutputFolder.isFinished(output, plan)) {
                plans.add(plan);
            } else if (asked.size() > 1) {
                progress.say("finished before: " + plan.output());
                output.delete(RunFolder.ROOT);
            }
        }
        return plans.isEmpty() ? asked : plans;
    }

    private List<Report> run(List<Plan> plans) throws IOException {
        Plan gathering = Quantization.gathering(plans);
        TokenWindows tokens = settings.calibration();
        if (tokens != null) {
            List<int[]> windows = new ArrayList<>(tokens.windows());
            if (settings.further() != null) {
                windows.addAll(settings.further().windows());
            }
            CalibrationTokens.write(stores.open(gathering.output()), gathering, windows);
        }
        SparkRunner runner = new SparkRunner(spark, stores);
        Model model = Model.open(stores.open(settings.source()));
        List<Report> reports = new ArrayList<>();
        try (LayerProgress watched = new LayerProgress(plans.get(0), progress)) {
            Quantization quantization = new Quantization(plans, runner, stores, watched);
            quantization.solve();
            if (settings.targetBpw() != null) {
                reports.add(mixed(plans, quantization, runner, model));
            } else {
                for (Plan plan : plans) {
                    reports.add(publish(plan, runner, model, quantization.write(plan, quantization.sites(plan)), null));
                }
            }
        }
        Workbench.release(gathering);
        for (Plan plan : plans) {
            Workbench.release(plan);
            stores.open(plan.output()).delete(RunFolder.ROOT);
        }
        return reports;
    }

    /** Chooses a width for each linear, and puts the checkpoint together from the pieces of all widths. */
    private Report mixed(List<Plan> widths, Quantization quantization, SparkRunner runner, Model model)
            throws IOException {
        double target = Objects.requireNonNull(settings.targetBpw());
        MixedWidths.Choice choice = new MixedWidths(transformed(settings, model), widths)
                .choose(widths.stream().map(quantization::sites).toList(), target);
        Map<Integer, List<String>> linears = choice.widthOfLinear().keySet().stream()
                .collect(Collectors.groupingBy(
                        linear -> choice.widthOfLinear().get(linear), TreeMap::new, Collectors.toList()));
        linears.forEach((bits, some) -> progress.say("%d bits for %d linears".formatted(bits, some.size())));
        int usual = linears.entrySet().stream()
                .max(Comparator.comparingInt(e -> e.getValue().size()))
                .orElseThrow()
                .getKey();
        List<Recipe.LinearOverride> overrides = new ArrayList<>();
        linears.forEach((bits, some) -> {
            if (bits != usual) {
                String names = some.stream().map(Pattern::quote).collect(Collectors.joining("|"));
                overrides.add(new Recipe.LinearOverride("^(" + names + ")$", bits, Recipe.UNSAID));
            }
        });
        Output output = settings.outputs().get(0);
        Plan plan = plan(
                        settings,
                        model,
                        Cluster.machine(spark, model.operands()),
                        new Output(output.folder(), output.recipe().with(usual, overrides)))
                .from(widths.get(0).model());
        Report report = publish(plan, runner, model, quantization.write(plan, choice.sites()), choice);
        Workbench.release(plan);
        return report;
    }

    private Report publish(
            Plan plan, SparkRunner runner, Model model, Quantization.Result result, MixedWidths.@Nullable Choice choice)
            throws IOException {
        BlobStore output = stores.open(plan.output());
        return new Publication(plan, Planner.transformed(model, plan.recipe()), output)
                .publish(result.shards(), Map.of("quern", Version.NUMBER, "model", settings.name()), files -> {
                    verify(plan, runner, output);
                    Report facts = report(plan, runner, model, result, choice);
                    write(output, "report.json", facts.json());
                    write(output, "report.html", facts.html());
                    files.addAll(List.of("report.json", "report.html"));
                    return facts;
                });
    }

    /** Promise 6: nothing is called done before it has been read again. */
    private void verify(Plan plan, SparkRunner runner, BlobStore output) throws IOException {
        List<String> findings = new ArrayList<>(Verification.names(plan, written(plan, output)));
        findings.addAll(Verification.linears(plan, runner, output));
        if (!findings.isEmpty()) {
            throw new IllegalStateException("What was written does not hold: " + String.join("; ", findings));
        }
    }

    private static TensorSource written(Plan plan, BlobStore output) throws IOException {
        return plan.container() == Container.GGUF ? Model.open(output).source().stored() : Checkpoint.open(output);
    }

    private Report report(
            Plan plan,
            SparkRunner runner,
            Model model,
            Quantization.Result result,
            MixedWidths.@Nullable Choice choice) {
        Map<String, Double> seconds = new LinkedHashMap<>();
        for (Phase phase : Phase.values()) {
            seconds.put(phase.label(), result.watch().seconds(phase));
        }
        Map<Long, Plan.SitePlan> sites = PassTiles.byKey(plan.sites());
        Map<String, Integer> bits = new HashMap<>();
        plan.sites()
                .forEach(s ->
                        s.linears().forEach(l -> bits.put(l.name(), l.scheme().bits())));
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
                new Report.Memory(plan.cost().memoryBytes() * plan.cost().slots(), peaks),
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
            full = EvaluationJob.run(spark, stores, plan.model(), null, text.windows());
            before = full;
        }
        Score after = EvaluationJob.run(spark, stores, plan.output(), plan.model(), text.windows());
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
        return new Report.Size(before, after, weights == 0 ? 0 : 8.0 * packed / weights);
    }

    private static void write(BlobStore output, String file, String text) throws IOException {
        output.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }
}
