package quern.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import quern.QuernException;
import quern.model.Model;
import quern.scheme.Recipe;
import quern.scheme.Schemes;
import quern.transform.Transforms;

/** How layers are cut into stages, and the calibration tokens into parts, batches and waves. */
final class Schedule {
    /** A part is about this many tokens: small enough to spread, large enough that reducing Hessians stays cheap. */
    private static final int PART_TOKENS = 16_384;

    /** Few tokens are spread too: over as many tasks as a laptop has cores. */
    private static final int FEWEST_PARTS = 4;

    /** A forward batch is about this many tokens: its activations stay in a core's cache, its products are large enough. */
    private static final int BATCH_TOKENS = 2_048;

    /** The same on a GPU, which has more to be kept busy, and for which a part's Hessians have a longer way. */
    private static final int PART_TOKENS_OF_GPU = 32_768;

    private static final int BATCH_TOKENS_OF_GPU = 8_192;

    /** Waves of a layer-parallel run: so many that progress shows and a restart loses little. */
    private static final int WAVES = 5;

    /** Rounds in which further sequences are drawn on: after each it is seen whether they were enough. */
    private static final int ROUNDS = 4;

    /** What the Hessian tiles of one part and one wave may take. */
    private static final long WAVE_BYTES = 1L << 30;

    /** The same of GPUs, which take many parts together, and of which one alone keeps them. */
    private static final long WAVE_BYTES_OF_GPU = 8L << 30;

    /** With fewer a layer's inputs drift so far from those in full precision that its Hessian has to be of what they become. */
    private static final int FEWEST_BITS_BY_LAYER = 3;

    private final Model model;
    private final Planner.Request request;
    private final Recipe recipe;
    private final List<Plan.SitePlan> sites;

    Schedule(Model model, Planner.Request request, Recipe recipe, List<Plan.SitePlan> sites) {
        this.model = model;
        this.request = request;
        this.recipe = recipe;
        this.sites = sites;
    }

    /** The width of most linears. */
    private int bits() {
        return Schemes.of(sites.stream()
                        .flatMap(s -> s.linears().stream())
                        .collect(Collectors.toMap(Plan.LinearPlan::name, Plan.LinearPlan::scheme)))
                .usual()
                .bits();
    }

    List<Plan.Stage> stages() {
        int layers = model.layers();
        Gathering gathering = Gathering.of(recipe);
        boolean siteBySite = recipe.trueSequential();
        int count = request.stages();
        if (!gathering.any()) {
            count = 1;
        } else if (count == 0) {
            boolean drifts = gathering.hessians() && bits() < FEWEST_BITS_BY_LAYER;
            count = siteBySite || drifts ? 1 : layers;
        }
        if (siteBySite && count == layers && layers > 1) {
            throw new QuernException(
                    "Cannot take the sites of a layer one after the other with every layer its own stage: "
                            + "all Hessians come from one pass (use fewer than %d stages, or %s)"
                                    .formatted(
                                            layers, gathering.drifts() ? "method gptq" : "leave true-sequential away"));
        }
        if (count > layers) {
            throw new QuernException(
                    "Cannot cut %d layers into %d stages (use 1 to %d)".formatted(layers, count, layers));
        }
        List<Plan.Stage> stages = new ArrayList<>();
        for (int s = 0; s < count; s++) {
            stages.add(new Plan.Stage(start(s, count, layers), start(s + 1, count, layers)));
        }
        return stages;
    }

    private static int start(int stage, int count, int layers) {
        return (int) Math.round((double) stage * layers / count);
    }

    Plan.Calibration calibration(int stages) {
        Planner.Tokens tokens = request.tokens();
        if (tokens == null) {
            return Plan.Calibration.NONE;
        }
        int sequences = tokens.sequences();
        int length = tokens.length();
        List<Plan.Part> parts = Plan.Part.cut(0, sequences, parts(sequences, length), 0);
        List<List<Plan.Part>> rounds = new ArrayList<>();
        int index = parts.size();
        for (Plan.Part round : Plan.Part.cut(sequences, tokens.further(), Math.min(ROUNDS, tokens.further()), 0)) {
            List<Plan.Part> slices = Plan.Part.cut(round.first(), round.count(), parts(round.count(), length), index);
            rounds.add(slices);
            index += slices.size();
        }
        int batch = Math.max(1, (isGpu() ? BATCH_TOKENS_OF_GPU : BATCH_TOKENS) / length);
        long layerBytes = IntStream.range(0, model.layers())
                .mapToLong(layer -> sites.stream()
                        .filter(s -> s.layer() == layer)
                        .mapToLong(s -> 2L * s.inputs() * s.inputs())
                        .sum())
                .max()
                .orElse(0);
        long waveBytes = isGpu() ? WAVE_BYTES_OF_GPU : WAVE_BYTES;
        int wave =
                (int) Math.max(1, Math.min((model.layers() + WAVES - 1) / WAVES, waveBytes / Math.max(1, layerBytes)));
        return new Plan.Calibration(
                tokens.source(),
                tokens.sha256(),
                sequences,
                length,
                batch,
                parts,
                stages > 1 || Transforms.named(recipe.transform()).fitted() ? wave : 1,
                new Plan.Further(tokens.furtherSha256(), rounds));
    }

    private int parts(int sequences, int length) {
        long total = (long) sequences * length;
        int each = isGpu() ? PART_TOKENS_OF_GPU : PART_TOKENS;
        return (int) Math.min(sequences, Math.max(FEWEST_PARTS, (total + each - 1) / each));
    }

    private boolean isGpu() {
        return request.machine().devices() > 0;
    }
}
