package quern.app;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.app.QuantizeSettings.Output;
import quern.calibration.TokenWindows;
import quern.format.Container;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.progress.Progress;
import quern.report.Report;
import quern.run.MixedWidths;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.Verification;
import quern.run.pass.CalibrationTokens;
import quern.run.workbench.RunFolder;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.spark.SparkRunner;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.tensor.TensorSource;

/** One {@code quern quantize} from its plan to its report. */
final class QuantizeJob {
    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final QuantizeSettings settings;
    private final Progress progress;
    private final QuantizeReports facts;

    QuantizeJob(JavaSparkContext spark, StoreOpener stores, QuantizeSettings settings, Progress progress) {
        this.spark = spark;
        this.stores = stores;
        this.settings = settings;
        this.progress = progress;
        facts = new QuantizeReports(spark, stores, settings, progress);
    }

    List<Report> run() throws IOException {
        List<Plan> asked = QuantizePlans.of(spark, stores, settings);
        List<Plan> plans = settings.resume() ? unfinished(asked) : asked;
        for (Plan plan : plans) {
            OutputFolder.claim(stores.open(plan.output()), plan, settings.resume());
        }
        for (Plan plan : plans) {
            OutputFolder.begin(stores.open(plan.output()), plan);
        }
        try {
            List<List<Plan>> models = QuantizePlans.byModel(plans);
            PlanText.several(models).forEach(progress::say);
            Sight sight = new Sight(spark, stores);
            for (Plan plan : plans) {
                sight.require("write to", plan.output(), new RunFolder(plan.id()).plan());
            }
            List<Report> reports = new ArrayList<>();
            for (List<Plan> model : models) {
                reports.addAll(run(seen(model, sight)));
            }
            return reports;
        } catch (QuernException e) {
            for (Plan plan : plans) {
                OutputFolder.clean(stores.open(plan.output())); // what the user must mend is not mended by going on
            }
            throw e;
        }
    }

    /** Plans of one model, whose source executors see: where it is, or a copy beside the first output. */
    private List<Plan> seen(List<Plan> plans, Sight sight) throws IOException {
        Plan gathering = Quantization.gathering(plans);
        if (sight.reaches(gathering.model(), "config.json")) {
            return plans;
        }
        SourceCopy copy = new SourceCopy(stores.open(gathering.model()), stores.open(gathering.output()), progress);
        String elsewhere = copy.of(gathering).model();
        return plans.stream().map(plan -> plan.from(elsewhere)).toList();
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

    /** Plans of one model, from their one calibration to their reports. */
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
        MixedWidths.Choice choice = new MixedWidths(QuantizePlans.transformed(settings, model), widths)
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
        Recipe mixed = output.recipe().edit().bits(usual).overrides(overrides).recipe();
        Plan plan = QuantizePlans.open(spark, stores, settings)
                .of(new Output(output.folder(), mixed))
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
                    Report report = facts.of(plan, runner, model, result, choice);
                    write(output, "report.json", report.json());
                    write(output, "report.html", report.html());
                    files.addAll(List.of("report.json", "report.html"));
                    return report;
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

    private static void write(BlobStore output, String file, String text) throws IOException {
        output.write(file, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
    }
}
