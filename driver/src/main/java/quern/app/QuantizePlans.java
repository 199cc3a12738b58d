package quern.app;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.app.QuantizeSettings.Output;
import quern.calibration.TokenWindows;
import quern.format.Formats;
import quern.model.Model;
import quern.plan.Gathering;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.MixedWidths;
import quern.run.workbench.StoreOpener;
import quern.scheme.Recipe;
import quern.transform.Transforms;

/** The plans of one {@code quern quantize}: what is asked for, on the machines that there are. */
record QuantizePlans(QuantizeSettings settings, Model model, Planner.Machine machine) {
    /** Those that are tried for a target of bits a weight. */
    private static final List<Integer> WIDTHS = List.of(2, 3, 4, 8);

    /** One for each output; with a target of bits a weight, one for each width. */
    static List<Plan> of(JavaSparkContext spark, StoreOpener stores, QuantizeSettings settings) throws IOException {
        return open(spark, stores, settings).all();
    }

    /** To plan what follows from what was found on the way. */
    static QuantizePlans open(JavaSparkContext spark, StoreOpener stores, QuantizeSettings settings)
            throws IOException {
        Model model = Model.open(stores.open(settings.source()));
        return new QuantizePlans(settings, model, Cluster.machine(spark, model.operands(), settings.device()));
    }

    private List<Plan> all() throws IOException {
        refuseModels();
        if (settings.targetBpw() != null) {
            List<Plan> widths = widths();
            new MixedWidths(transformed(settings, model), widths).require(settings.targetBpw());
            return widths;
        }
        List<Plan> plans = new ArrayList<>();
        for (Output output : settings.outputs()) {
            Plan plan = of(output);
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

    /** Widths are mixed in one checkpoint, so they are those of one model: a transform that is fitted makes another for each. */
    private void refuseModels() {
        String transform = settings.outputs().get(0).recipe().transform();
        if (settings.targetBpw() != null && Transforms.named(transform).fitted()) {
            throw new QuernException(
                    "Cannot use transform %s with --target-bpw: it makes another model for each width, and one checkpoint is of one (use --transform hadamard, or --bits)"
                            .formatted(transform));
        }
    }

    /**
     * What is calibrated together: plans of one model. A transform makes another model, and one that is fitted, which also goes by how
     * weights are rounded, another for each recipe.
     */
    static List<List<Plan>> byModel(List<Plan> plans) {
        Map<String, List<Plan>> models = new LinkedHashMap<>();
        for (Plan plan : plans) {
            String transform = plan.recipe().transform();
            models.computeIfAbsent(
                            Transforms.named(transform).fitted() ? plan.id() : transform, model -> new ArrayList<>())
                    .add(plan);
        }
        return List.copyOf(models.values());
    }

    /** The one model of all outputs. */
    static Model transformed(QuantizeSettings settings, Model model) {
        return Planner.transformed(model, settings.outputs().get(0).recipe());
    }

    Plan of(Output output) throws IOException {
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
    private List<Plan> widths() throws IOException {
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
            Recipe recipe =
                    output.recipe().edit().bits(bits).overrides(List.of()).recipe();
            plans.add(of(new Output(output.folder(), recipe)));
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
}
