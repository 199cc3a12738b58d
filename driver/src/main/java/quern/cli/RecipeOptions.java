package quern.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.ColumnOrder;
import quern.scheme.FixedScales;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;
import quern.scheme.ScaleRule;
import quern.transform.Transform;
import quern.transform.Transforms;

/** What to do with the model: a recipe, and plain options that override its values. */
final class RecipeOptions {
    private static final List<String> METHODS =
            Methods.all().stream().map(Method::name).toList();
    private static final List<String> FORMATS =
            Formats.all().stream().map(Format::name).toList();
    private static final List<String> TRANSFORMS =
            Transforms.all().stream().map(Transform::name).toList();

    @Option(
            names = "--recipe",
            paramLabel = "NAME|FILE",
            description = "A recipe by name (see conf/recipes) or a YAML file. The options below override its values."
                    + " Several (--recipe A --recipe B) share one calibration, and are written to folders of their names"
                    + " in --out. Default: gptq-w4a16-g128.")
    List<String> recipes = new ArrayList<>();

    @Option(
            names = "--method",
            paramLabel = "NAME",
            description =
                    "How codes are chosen: gptq, gptaq (which makes up for all that was quantized before too: a smaller loss, for more"
                            + " work, and layers wait for each other), rtn, imatrix (rtn with scales for the inputs that matter, as llama.cpp has it), or hqq"
                            + " (for format hqq). Default: what is usual for the format.")
    @Nullable
    String method;

    @Option(
            names = "--format",
            paramLabel = "NAME",
            description =
                    "The bytes on disk: gptq (default; every GPTQ loader), gptq_v2, awq, compressed-tensors (integers; -int8 and"
                            + " -fp8 with activations of 8 bits, -nvfp4, -mxfp4), fp8 (blocks of 128 x 128), fbgemm-fp8, modelopt-fp8 or -nvfp4, quark-fp8 or"
                            + " -int8, torchao (integers; -int8, -fp8), quanto-int8, -int4, -int2 or -fp8, eetq, autoround, hqq, bitsandbytes-nf4,"
                            + " -nf4-nested, -fp4 or -int8.")
    @Nullable
    String format;

    @Option(
            names = "--transform",
            paramLabel = "NAME",
            description =
                    "What is done to the model first, without changing what it computes: awq, smoothquant, hadamard, or none (default).")
    @Nullable
    String transform;

    @Option(
            names = "--bits",
            paramLabel = "N",
            description = "2, 3, 4 or 8, with --format hqq also 1. Default: 4, or what the format has.")
    @Nullable
    Integer bits;

    @Option(
            names = "--target-bpw",
            paramLabel = "X",
            description =
                    "In place of --bits: so many bits a weight on average, scales included, such as 3.5. Every linear is"
                            + " tried at each width, and those widths are taken whose losses sum up to the least.")
    @Nullable
    Double targetBpw;

    @Option(
            names = "--group-size",
            paramLabel = "N",
            description = "Inputs that share a scale; -1 for the whole row. Default: 128, or what the format has.")
    @Nullable
    Integer groupSize;

    @Option(names = "--sym", description = "Zero points fixed in the middle (default; awq and hqq choose them always).")
    boolean sym;

    @Option(names = "--asym", description = "A zero point for each group.")
    boolean asym;

    @Option(
            names = "--act-order",
            paramLabel = "ORDER",
            description = "Which columns go first: static (default) and group are by importance and free at inference;"
                    + " full is the classic act-order and needs g_idx; off is the natural order.")
    @Nullable
    String actOrder;

    @Option(
            names = "--percdamp",
            paramLabel = "X",
            description =
                    "Damping, a fraction of the mean of the Hessian's diagonal; codes are refined with 0.2 of the median at least. Default: 0.05.")
    @Nullable
    Double percdamp;

    @Option(
            names = "--mse",
            description = "Scales by the classic grid search (norm 2.4, grid 100, shrunk to 0.2 at most) instead of the"
                    + " search weighted by saliency, and not fitted to the codes afterwards.")
    boolean mse;

    @Option(
            names = "--activations",
            paramLabel = "HOW",
            description =
                    "Scales of the inputs of linears, in formats with activations of few bits: dynamic (default; of each"
                            + " token, when the model runs) or static (fixed by calibration).")
    @Nullable
    String activations;

    @Option(
            names = "--kv-cache",
            paramLabel = "HOW",
            description = "Scales of keys and values: none (default), or fp8, fixed by calibration.")
    @Nullable
    String kvCache;

    @Option(names = "--trits", description = "Only three values a weight; sets 2 bits, symmetric.")
    boolean trits;

    @Option(
            names = "--true-sequential",
            description = "Each linear sees those before it in its layer already quantized: twice the forwards, no gain"
                    + " measured by itself; gptaq does so anyway.")
    boolean trueSequential;

    /** The recipes by name, with the options merged in. */
    Map<String, Recipe> merged() {
        Map<String, Recipe> merged = new LinkedHashMap<>();
        for (String recipe : recipes) {
            String name = recipe.replaceFirst(".*[/\\\\]", "").replaceFirst("\\.ya?ml$", "");
            if (merged.put(name, merged(read(recipe))) != null) {
                throw new QuernException("Cannot write two recipes of the name " + name
                        + ": each has a folder of its name (rename one)");
            }
        }
        return merged.isEmpty() ? Map.of("", merged(Recipe.OPEN)) : merged;
    }

    private Recipe merged(Recipe base) {
        if (sym && asym) {
            throw new QuernException(
                    "Cannot use both --sym and --asym: a zero point is fixed or it is not (leave one away)");
        }
        if (trits && (asym || (bits != null && bits != 2))) {
            throw new QuernException("Cannot use --trits with " + (asym ? "--asym" : "--bits " + bits)
                    + ": three values need 2 bits and a symmetric grid (leave it away)");
        }
        String chosen = method == null ? base.method() : known("--method", method, METHODS);
        // Round-to-nearest has no Hessian to order columns or weigh errors by, which a recipe made for gptq asks
        // for. One made for rtn may ask for a rule of the scales; else it means what rounding to nearest means.
        String first = transform == null ? base.transform() : known("--transform", transform, TRANSFORMS);
        boolean plain = chosen.equals("rtn") && !Transforms.named(first).fitted();
        boolean said = base.method().equals("rtn");
        ColumnOrder order =
                plain && (!said || base.actOrder() == ColumnOrder.STATIC) ? ColumnOrder.OFF : base.actOrder();
        ScaleRule scales = plain && (!said || base.scales() == ScaleRule.OPEN) ? ScaleRule.MAX : base.scales();
        return base.edit()
                .method(chosen)
                .format(format == null ? base.format() : format(format))
                .bits(trits ? 2 : bits == null ? base.bits() : bits)
                .groupSize(groupSize == null ? base.groupSize() : groupSize)
                .symmetric(sym || trits || (!asym && base.symmetric()))
                .ternary(trits || base.ternary())
                .actOrder(actOrder == null ? order : order(actOrder))
                .scales(mse ? ScaleRule.MSE : scales)
                .percdamp(percdamp == null ? base.percdamp() : percdamp)
                .trueSequential(trueSequential || base.trueSequential())
                .fixed(new FixedScales(
                        activations == null
                                ? base.fixed().inputs()
                                : known("--activations", activations, List.of("dynamic", "static"))
                                        .equals("static"),
                        kvCache == null
                                ? base.fixed().cache()
                                : known("--kv-cache", kvCache, List.of("none", "fp8"))
                                        .equals("fp8")))
                .transform(first)
                .recipe();
    }

    /** The name of a format that there is. */
    static String format(String name) {
        return known("--format", name, FORMATS);
    }

    private static ColumnOrder order(String name) {
        String known = known("--act-order", name, List.of("static", "group", "full", "off"));
        return ColumnOrder.valueOf(known.toUpperCase(Locale.ROOT));
    }

    private static String known(String option, String name, List<String> names) {
        if (!names.contains(name)) {
            throw new QuernException("Cannot use " + option + " " + name + ": it is unknown (use one of "
                    + String.join(", ", names) + ")");
        }
        return name;
    }

    private static Recipe read(String recipe) {
        if (!recipe.endsWith(".yaml") && !recipe.endsWith(".yml")) {
            return RecipeReader.named(recipe);
        }
        try {
            return RecipeReader.read(Files.readString(Path.of(recipe), StandardCharsets.UTF_8), recipe);
        } catch (NoSuchFileException e) {
            throw new QuernException(
                    "Cannot read recipe " + recipe + ": there is no such file (the recipes by name are "
                            + String.join(", ", RecipeReader.names()) + ")",
                    e);
        } catch (IOException e) {
            throw new QuernException("Cannot read recipe " + recipe + ": " + e + " (give a YAML file in UTF-8)", e);
        }
    }
}
