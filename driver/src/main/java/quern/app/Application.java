package quern.app;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.calibration.Calibration;
import quern.calibration.TokenWindows;
import quern.calibration.Tokenizer;
import quern.cli.CleanRequest;
import quern.cli.Commands;
import quern.cli.ConvertRequest;
import quern.cli.EvalRequest;
import quern.cli.InspectRequest;
import quern.cli.Propagation;
import quern.cli.QuantizeRequest;
import quern.cli.RecommendRequest;
import quern.cli.VerifyRequest;
import quern.demo.Demo;
import quern.evaluate.Score;
import quern.format.Formats;
import quern.hadoop.Stores;
import quern.model.Model;
import quern.plan.Planner;
import quern.progress.Progress;
import quern.recommend.Recommendation;
import quern.report.Report;
import quern.report.Summary;
import quern.scheme.Recipe;
import quern.spark.EvaluationJob;
import quern.store.BlobStore;

/** The commands, carried out. */
public final class Application implements Commands, AutoCloseable {
    /** Windows of the demo's evaluation text, before and after. */
    private static final int ALL = 0;

    private final Map<String, String> environment = System.getenv();
    private @Nullable Session session;

    @Override
    public int quantize(QuantizeRequest request) {
        return run(progress -> {
            Session spark = session();
            QuantizeSettings settings = settings(spark, request, progress);
            List<Report> reports = new QuantizeJob(spark.context(), spark.stores(), settings, progress).run();
            progress.close();
            reports.forEach(report -> System.out.println(Summary.of(report)));
            return 0;
        });
    }

    @Override
    public int plan(QuantizeRequest request) {
        return run(progress -> {
            Session spark = session();
            QuantizeSettings settings = settings(spark, request, progress);
            PlanText.several(QuantizePlans.byModel(QuantizePlans.of(spark.context(), spark.stores(), settings)))
                    .forEach(System.out::println);
            return 0;
        });
    }

    @Override
    public int eval(EvalRequest request) {
        return run(progress -> {
            Session spark = session();
            Sources sources = new Sources(environment, progress);
            String subject = sources.locate(request.model());
            String reference = request.against().isPresent()
                    ? sources.locate(request.against().get())
                    : null;
            Model model = Model.open(spark.stores().open(subject));
            int length = request.lengthGiven() ? request.length() : Math.min(request.length(), model.maxPositions());
            TokenWindows windows;
            try (Tokenizer tokenizer = Tokenizer.read(model.store())) {
                windows = new Calibration(spark.sql(), tokenizer, new HubDatasets(environment, spark.sight()))
                        .evaluationWindows(request.text(), length, request.maxWindows(), request.maxChars());
            }
            Sight sight = spark.sight();
            sight.require("evaluate", subject, "config.json");
            if (reference != null) {
                sight.require("compare with", reference, "config.json");
            }
            Score score =
                    EvaluationJob.run(spark.context(), spark.stores(), subject, reference, windows.windows(), null);
            System.out.printf(
                    Locale.ROOT,
                    "perplexity %.4f over %d tokens (%d windows of %d, %s, sha256 %s)%n",
                    score.perplexity(),
                    score.tokens(),
                    windows.windows().size(),
                    length,
                    windows.source(),
                    windows.sha256());
            if (reference != null) {
                System.out.printf(
                        Locale.ROOT,
                        "against %s: mean KL %.6f nats per token, same first choice %.2f %%%n",
                        request.against().get().name(),
                        score.meanKl(),
                        100 * score.agreement());
            }
            return 0;
        });
    }

    @Override
    public int verify(VerifyRequest request) {
        return run(progress -> {
            Session spark = session();
            String source = request.against().isPresent()
                    ? new Sources(environment, progress)
                            .locate(request.against().get())
                    : null;
            List<String> findings = Inspection.verify(
                    open(request.folder()),
                    source == null ? null : spark.stores().open(source));
            findings.forEach(f -> System.out.println("- " + f));
            System.out.println(
                    findings.isEmpty()
                            ? request.folder() + " is sound"
                            : findings.size() + " findings in " + request.folder());
            return findings.isEmpty() ? 0 : 1;
        });
    }

    @Override
    public int inspect(InspectRequest request) {
        return run(progress -> {
            String location = new Sources(environment, progress).locate(request.model());
            Inspection.describe(open(location)).forEach(System.out::println);
            return 0;
        });
    }

    @Override
    public int convert(ConvertRequest request) {
        return run(progress -> {
            String source = new Sources(environment, progress).locate(request.model());
            Session spark = session();
            List<String> lines = new ConvertJob(spark.context(), spark.stores(), progress)
                    .run(
                            request.model().name(),
                            source,
                            absolute(request.out()),
                            request.format(),
                            request.maxShardBytes());
            progress.close();
            lines.forEach(System.out::println);
            System.out.println("in          " + request.out());
            return 0;
        });
    }

    @Override
    public int recommend(RecommendRequest request) {
        return run(progress -> {
            BlobStore headers = open(new Sources(environment, progress).headers(request.model()));
            Model model = Model.open(headers);
            int context = request.context();
            if (context > model.maxPositions()) {
                if (request.contextGiven()) {
                    throw new QuernException(
                            "Cannot serve %d tokens: the model has %d positions (use --context %d or less)"
                                    .formatted(context, model.maxPositions(), model.maxPositions()));
                }
                context = model.maxPositions();
            }
            Recommendation.of(
                            model,
                            new Recommendation.Request(
                                    request.model().name(),
                                    request.gpu(),
                                    request.memory(),
                                    request.server(),
                                    request.mostKl(),
                                    context))
                    .forEach(System.out::println);
            return 0;
        });
    }

    @Override
    public int clean(CleanRequest request) {
        return run(progress -> {
            int removed = OutputFolder.clean(open(request.folder()));
            System.out.println(
                    removed == 0
                            ? "nothing to clean in " + request.folder()
                            : "removed " + removed + " files of an unfinished run from " + request.folder());
            return 0;
        });
    }

    private QuantizeSettings settings(Session spark, QuantizeRequest request, Progress progress) throws IOException {
        String source = new Sources(environment, progress).locate(request.model());
        Model model = Model.open(spark.stores().open(source));
        boolean demo = request.model().name().equals(Demo.NAME);
        TokenWindows calibration = null;
        TokenWindows further = null;
        TokenWindows evaluation = null;
        Map<String, Recipe> recipes = new LinkedHashMap<>();
        request.recipes()
                .forEach((name, recipe) ->
                        recipes.put(name, Formats.named(recipe.format()).settled(recipe)));
        boolean calibrates = recipes.values().stream().anyMatch(Planner::calibrates);
        if (calibrates || demo) {
            try (Tokenizer tokenizer = Tokenizer.read(model.store())) {
                Calibration text = new Calibration(spark.sql(), tokenizer, new HubDatasets(environment, spark.sight()));
                if (calibrates) {
                    int length = request.calibration().length();
                    if (length > model.maxPositions()) {
                        if (request.calibration().lengthGiven()) {
                            throw new QuernException(
                                    "Cannot calibrate on windows of %d tokens: the model has %d positions (use --seqlen %d or less)"
                                            .formatted(length, model.maxPositions(), model.maxPositions()));
                        }
                        length = model.maxPositions();
                    }
                    boolean experts = IntStream.range(0, model.layers()).anyMatch(layer -> model.experts(layer) > 0);
                    int samples = request.calibration().samples();
                    TokenWindows drawn = text.windows(
                            request.calibration().source(),
                            samples,
                            experts ? samples : 0, // as many again
                            length,
                            request.calibration().seed());
                    calibration = drawn.first(samples);
                    if (experts) {
                        further = drawn.from(samples);
                        if (further.windows().isEmpty()) {
                            progress.say("no text is left to draw on for experts that few tokens reach");
                        }
                    }
                }
                if (demo) {
                    evaluation = text.evaluationWindows(Demo.NAME, Demo.LENGTH, ALL, ALL);
                }
            }
        }
        return new QuantizeSettings(
                request.model().name(),
                source,
                outputs(absolute(request.out().orElse(request.model().name() + "-quantized")), recipes),
                request.targetBpw().isPresent() ? request.targetBpw().getAsDouble() : null,
                request.targetBpw().isPresent() ? model.layers() : stages(request, model, recipes.size()),
                request.maxShardBytes(),
                request.resume(),
                request.device().orElse(null),
                calibration,
                further,
                evaluation);
    }

    /** One recipe is written to the folder itself, several to folders of their names. */
    private static List<QuantizeSettings.Output> outputs(String out, Map<String, Recipe> recipes) {
        return recipes.entrySet().stream()
                .map(named -> new QuantizeSettings.Output(
                        recipes.size() == 1 ? out : out + "/" + named.getKey(), named.getValue()))
                .toList();
    }

    /** 0 lets the planner choose. */
    private static int stages(QuantizeRequest request, Model model, int recipes) {
        if (recipes > 1) {
            if (request.stages().isPresent()
                    || request.propagation().filter(Propagation.EXACT::equals).isPresent()) {
                throw new QuernException(
                        "Cannot share one calibration among %d recipes so: later layers would see what one of them makes of the earlier ones (leave --propagation and --stages away, or quantize one after the other)"
                                .formatted(recipes));
            }
            return model.layers();
        }
        if (request.stages().isPresent()) {
            return request.stages().getAsInt();
        }
        return request.propagation()
                .map(p -> p == Propagation.EXACT ? 1 : model.layers())
                .orElse(0);
    }

    private static String absolute(String location) {
        return location.matches("[A-Za-z][A-Za-z0-9+.-]+:.*")
                ? location
                : Path.of(location).toAbsolutePath().normalize().toString();
    }

    private BlobStore open(String location) {
        return Stores.open(absolute(location), Map.of());
    }

    private Session session() {
        Session open = session;
        if (open == null) {
            open = new Session();
            session = open;
        }
        return open;
    }

    private int run(Body body) {
        try (Progress progress = Progress.of(System.err)) {
            return body.run(progress);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        if (session != null) {
            session.close();
        }
    }

    @FunctionalInterface
    private interface Body {
        int run(Progress progress) throws IOException;
    }
}
