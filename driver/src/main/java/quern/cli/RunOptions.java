package quern.cli;

import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import quern.QuernException;
import quern.demo.Demo;

/** The options that quantize and plan share. */
final class RunOptions {
    private static final int SAMPLES = 128;
    private static final int LENGTH = 2048;

    @Parameters(
            paramLabel = "MODEL",
            arity = "1",
            description =
                    "demo (a small model inside Quern), a folder or .gguf file (local, hdfs://, s3a://), or a Hub id owner/name.")
    String model = "";

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "Where the checkpoint goes: a folder that does not exist, or a run of Quern to go on with."
                    + " May be left away for demo: quern-demo.")
    @Nullable
    String out;

    @Option(names = "--revision", paramLabel = "REF", description = "Branch, tag or commit of a Hub id. Default: main.")
    @Nullable
    String revision;

    @ArgGroup(validate = false, heading = "%nWhat to do with it:%n", order = 1)
    RecipeOptions recipe = new RecipeOptions();

    @ArgGroup(validate = false, heading = "%nCalibration text:%n", order = 2)
    Text text = new Text();

    @ArgGroup(validate = false, heading = "%nThe run:%n", order = 3)
    Flow flow = new Flow();

    @Mixin
    RemoteCode remoteCode = new RemoteCode();

    static final class Text {
        @Option(
                names = "--calibration",
                paramLabel = "NAME|PATH",
                description =
                        "wikitext2, ptb, ptb_new, c4, c4_new, or a text, .jsonl or .parquet file or a folder of them,"
                                + " with PATH:column for another column than text. Default: wikitext2; for demo its own stories.")
        @Nullable
        String source;

        @Option(names = "--samples", paramLabel = "N", description = "Windows of text. Default: 128.")
        @Nullable
        Integer samples;

        @Option(
                names = "--seqlen",
                paramLabel = "N",
                description = "Tokens of a window. Default: 2048, or the model's positions where it has fewer.")
        @Nullable
        Integer length;

        @Option(
                names = "--seed",
                paramLabel = "N",
                defaultValue = "0",
                description = "For the draws from a named set: the same windows as the GPTQ scripts. Default: 0.")
        long seed;
    }

    static final class Flow {
        @Option(
                names = "--propagation",
                paramLabel = "HOW",
                description =
                        "exact: each layer sees the quantized layers before it. staged: stages run side by side from"
                                + " full-precision inputs. Default: the faster plan whose loss is within noise; quern plan says"
                                + " which.")
        @Nullable
        String propagation;

        @Option(names = "--stages", paramLabel = "S", description = "How many stages; more than one is staged.")
        @Nullable
        Integer stages;

        @Option(
                names = "--max-shard-size",
                paramLabel = "SIZE",
                defaultValue = "5GB",
                description = "Largest output file. Default: 5GB.")
        String maxShardSize = "5GB";

        @Option(names = "--resume", description = "Go on with the run that stopped in the output folder.")
        boolean resume;

        @Option(
                names = "--device",
                paramLabel = "NAME",
                description = "What executors compute on: cpu or cuda. Default: cuda where they have a GPU, else cpu.")
        @Nullable
        String device;
    }

    QuantizeRequest request(boolean needsOut) {
        remoteCode.refuse();
        boolean isDemo = model.equals(Demo.NAME);
        if (needsOut && out == null && !isDemo) {
            throw new QuernException(
                    "Cannot quantize " + model + ": there is no folder for the result (add --out DIR)");
        }
        if (isDemo && revision != null) {
            throw new QuernException("Cannot take revision " + revision + " of demo: it has only one (leave it away)");
        }
        Optional<String> folder =
                Optional.ofNullable(out).or(() -> isDemo ? Optional.of("quern-demo") : Optional.empty());
        Optional<Propagation> propagation = propagation();
        return new QuantizeRequest(
                new ModelRequest(model, revision),
                folder,
                recipe.merged(),
                targetBpw(propagation),
                calibration(isDemo),
                ByteSize.parse("--max-shard-size", flow.maxShardSize),
                propagation,
                propagation.equals(Optional.of(Propagation.EXACT))
                        ? OptionalInt.of(1)
                        : flow.stages == null ? OptionalInt.empty() : OptionalInt.of(flow.stages),
                flow.resume,
                Optional.ofNullable(flow.device));
    }

    private OptionalDouble targetBpw(Optional<Propagation> propagation) {
        Double target = recipe.targetBpw;
        if (target == null) {
            return OptionalDouble.empty();
        }
        if (!(target > 0 && target <= 16)) {
            throw new QuernException(
                    "Cannot reach %s bits a weight: it is a number such as 3.5 (between 2 and 8)".formatted(target));
        }
        if (recipe.bits != null || recipe.trits) {
            throw new QuernException(
                    "Cannot use --target-bpw with %s: the widths follow from the target (leave it away)"
                            .formatted(recipe.trits ? "--trits" : "--bits"));
        }
        if (recipe.recipes.size() > 1) {
            throw new QuernException(
                    "Cannot use --target-bpw with several recipes: it is for one (quantize one after the other)");
        }
        if (propagation.isPresent()) {
            throw new QuernException(
                    "Cannot use --target-bpw with --propagation or --stages: every width is tried on the same Hessians, so no layer waits for another (leave it away)");
        }
        return OptionalDouble.of(target);
    }

    private CalibrationRequest calibration(boolean isDemo) {
        String source = text.source != null ? text.source : isDemo ? Demo.NAME : "wikitext2";
        boolean ownText = source.equals(Demo.NAME);
        int samples = text.samples != null ? text.samples : ownText ? Demo.SAMPLES : SAMPLES;
        int length = text.length != null ? text.length : ownText ? Demo.LENGTH : LENGTH;
        Positive.check("--samples", samples);
        Positive.check("--seqlen", length);
        return new CalibrationRequest(source, samples, length, text.seed, text.length != null);
    }

    private Optional<Propagation> propagation() {
        Integer stages = flow.stages;
        if (stages != null) {
            Positive.check("--stages", stages);
        }
        if (flow.propagation == null) {
            return stages == null
                    ? Optional.empty()
                    : Optional.of(stages == 1 ? Propagation.EXACT : Propagation.STAGED);
        }
        switch (flow.propagation) {
            case "exact" -> {
                if (stages != null && stages != 1) {
                    throw new QuernException("Cannot propagate exactly through " + stages
                            + " stages: exact is one stage (use --propagation staged)");
                }
                return Optional.of(Propagation.EXACT);
            }
            case "staged" -> {
                return Optional.of(Propagation.STAGED);
            }
            default ->
                throw new QuernException(
                        "Cannot use --propagation " + flow.propagation + ": it is unknown (use one of exact, staged)");
        }
    }
}
