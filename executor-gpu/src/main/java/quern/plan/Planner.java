package quern.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.export.GgufExport;
import quern.format.FixedScale;
import quern.format.Format;
import quern.format.Formats;
import quern.format.LinearPlace;
import quern.format.gguf.GgufFormat;
import quern.method.Methods;
import quern.model.Absorber;
import quern.model.Linear;
import quern.model.Model;
import quern.model.ModelConfig;
import quern.model.Site;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.transform.Transform;
import quern.transform.Transforms;
import quern.transform.Vectors;

/** Decides everything about a run from the source's headers, the recipe and the machine. Reads no tensor. */
public final class Planner {
    private static final String STACKED = "its experts are one tensor, and no loader of format %s takes codes for that";

    private final Model model;
    private final Request request;
    private final Recipe recipe;
    private final Format format;
    private final Transform transform;

    private Planner(Model model, Request request) {
        this.transform = Transforms.named(request.recipe().transform());
        this.model = transform.applied(model, Vectors.NONE);
        this.request = request;
        this.format = Formats.named(request.recipe().format());
        Recipe settled = format.settled(request.recipe());
        this.recipe = Methods.named(settled.method()).needsDrift()
                ? settled.edit().trueSequential(true).recipe()
                : settled;
    }

    /**
     * What is asked for.
     *
     * @param source and output: where
     * @param stages number of stages; 0 for the default of the bit width
     * @param maxShardBytes an output file is closed before it would grow beyond this
     */
    public record Request(
            String source,
            String output,
            Recipe recipe,
            int stages,
            long maxShardBytes,
            @Nullable Tokens tokens,
            Machine machine) {}

    /**
     * Calibration tokens as far as a plan knows them.
     *
     * @param further sequences behind these, for experts that too few tokens reach
     * @param furtherSha256 of the ids of those
     */
    public record Tokens(String source, String sha256, int sequences, int length, int further, String furtherSha256) {
        /** No more than these. */
        public Tokens(String source, String sha256, int sequences, int length) {
            this(source, sha256, sequences, length, 0, "");
        }
    }

    /**
     * What carries the plan out.
     *
     * @param slots tasks at a time
     * @param devices GPUs, each of which carries out one task of a pass at a time; 0 where tasks compute on the host
     * @param gflops of a GPU, or else of one slot, measured
     * @param slotMemory bytes of a GPU, or else that a slot may use; 0 if unknown
     */
    public record Machine(
            String device,
            String deviceType,
            DType computeType,
            int slots,
            int devices,
            double gflops,
            long slotMemory) {
        /** Of tasks that compute on the host. */
        public Machine(String device, String deviceType, DType computeType, int slots, double gflops, long slotMemory) {
            this(device, deviceType, computeType, slots, 0, gflops, slotMemory);
        }
    }

    /** Whether a recipe needs calibration text. */
    public static boolean calibrates(Recipe recipe) {
        return Gathering.of(recipe).any() || Gathering.fitting(recipe).any();
    }

    /** The model with what the recipe does to it first, as far as headers tell. */
    public static Model transformed(Model model, Recipe recipe) {
        return Transforms.named(recipe.transform()).applied(model, Vectors.NONE);
    }

    public static Plan plan(Model model, Request request) throws IOException {
        return new Planner(model, request).plan();
    }

    /**
     * What a plan says of the checkpoint: it takes no machine and no text.
     *
     * @param sites what is quantized
     * @param shards the files
     */
    public record Layout(List<Plan.SitePlan> sites, List<Plan.Shard> shards) {
        public long bytes() {
            return shards.stream().mapToLong(Plan.Shard::bytes).sum();
        }
    }

    /** The checkpoint that a recipe would make of a model, from headers alone; {@link QuernException} where there is none. */
    public static Layout layout(Model model, Recipe recipe) {
        Machine none = new Machine("", "", DType.F32, 1, 1, 0);
        Request request = new Request(model.store().location(), "", recipe, 0, Long.MAX_VALUE, null, none);
        Planner planner = new Planner(model, request);
        List<Plan.SitePlan> sites = planner.checkedSites(new LinkedHashSet<>());
        return new Layout(sites, planner.shards(sites));
    }

    private List<Plan.Shard> shards(List<Plan.SitePlan> sites) {
        return ShardLayout.of(model, format, sites, inputScale(), cacheScales(), request.maxShardBytes());
    }

    /** How the scale of a linear's inputs is stored; null where calibration does not fix it. */
    private @Nullable FixedScale inputScale() {
        return recipe.fixed().inputs() ? format.inputScale(model.weightType()) : null;
    }

    private List<FixedScale> cacheScales() {
        return recipe.fixed().cache() ? format.cacheScales(model.weightType()) : List.of();
    }

    private void refuseScales() {
        if (recipe.fixed().inputs() && inputScale() == null) {
            throw new QuernException(
                    ("Cannot fix scales of activations in format %s: its loaders quantize none, or each token "
                                    + "by itself (use --format compressed-tensors-fp8, or leave --activations away)")
                            .formatted(format.name()));
        }
        if (recipe.fixed().cache() && cacheScales().isEmpty()) {
            throw new QuernException(
                    "Cannot write scales of keys and values in format %s: its loaders read none (use --format compressed-tensors-fp8, or leave --kv-cache away)"
                            .formatted(format.name()));
        }
    }

    /** @param kept gets what is left as it is */
    private List<Plan.SitePlan> checkedSites(Set<Plan.Kept> kept) {
        if (!format.isPlain()
                && format.scheme(recipe, model.weightType()).sharesRows()
                && !Methods.named(recipe.method()).takesSharedRows()) {
            throw new QuernException(
                    "Cannot use method %s for format %s: rows share its scales (use --method rtn, or gptq)"
                            .formatted(recipe.method(), recipe.format()));
        }
        if (Methods.named(recipe.method()).fractionalZeros() && !format.holdsFractionalZeros()) {
            throw new QuernException(
                    "Cannot write what method %s chooses in format %s: it has whole zero points only (use --format hqq)"
                            .formatted(recipe.method(), recipe.format()));
        }
        refuseScales();
        List<Plan.SitePlan> sites = sites(kept);
        checkShapes(sites);
        refuseSomeExperts(sites);
        refuseMixture(sites);
        return sites;
    }

    private Plan plan() throws IOException {
        Set<Plan.Kept> kept = new LinkedHashSet<>();
        List<Plan.SitePlan> sites = checkedSites(kept);
        Schedule schedule = new Schedule(model, request, recipe, sites);
        List<Plan.Stage> stages = schedule.stages();
        Plan.Calibration calibration = schedule.calibration(stages.size());
        List<Plan.Shard> shards = shards(sites);
        if (format instanceof GgufFormat gguf) {
            GgufExport.of(model, gguf).metadata(); // refuses what cannot be said there before anything is done
        }
        Cost cost = new Cost(model, request, recipe, sites, calibration, stages.size(), shards, format);
        Plan.Cost figures = cost.figures();
        if (request.machine().slotMemory() > 0
                && figures.memoryBytes() > request.machine().slotMemory()) {
            Plan.Term largest = figures.memory().stream()
                    .max(Comparator.comparingLong(Plan.Term::bytes))
                    .orElseThrow();
            throw new QuernException(
                    ("Cannot fit this plan into %s per task: it needs %s, and the largest term is %s with "
                                    + "%s (give executors more memory, or fewer cores each)")
                            .formatted(
                                    ByteCount.text(request.machine().slotMemory()),
                                    ByteCount.text(figures.memoryBytes()),
                                    largest.name(),
                                    ByteCount.text(largest.bytes())));
        }
        return new Plan(
                PlanId.of(model, request, stages, sites, calibration),
                request.source(),
                request.output(),
                recipe,
                Gathering.of(recipe),
                model.source().lossy(),
                request.machine().device(),
                request.machine().deviceType(),
                request.machine().computeType(),
                stages.size() == 1 ? Propagation.EXACT : Propagation.STAGED,
                stages,
                sites,
                List.copyOf(kept),
                calibration,
                shards,
                figures);
    }

    private List<Plan.SitePlan> sites(Set<Plan.Kept> kept) {
        List<Pattern> skip = recipe.skip().stream().map(Pattern::compile).toList();
        List<Plan.SitePlan> sites = new ArrayList<>();
        for (int layer = 0; layer < model.layers(); layer++) {
            List<Site> all = model.sites(layer);
            Set<Integer> fitted = fitted(layer);
            model.kept(layer).forEach(linear -> kept.add(new Plan.Kept(linear.name(), Plan.Kept.ROUTES)));
            for (int i = 0; i < all.size(); i++) {
                List<Plan.LinearPlan> linears = new ArrayList<>();
                for (Linear linear : all.get(i).linears()) {
                    if (skip.stream().anyMatch(p -> p.matcher(linear.name()).find())) {
                        kept.add(new Plan.Kept(linear.name(), "the recipe skips it"));
                    } else if (linear.isSlice() && !format.takesSlices()) {
                        String tensor = linear.weight();
                        String module = tensor.substring(0, tensor.lastIndexOf('.'));
                        kept.add(new Plan.Kept(module + ".*", STACKED.formatted(format.name())));
                    } else if (linear.transposed() && !linear.isSlice() && !format.replacesConv1d()) {
                        throw new QuernException(
                                ("Cannot write %s as %s: it is a Conv1D, and the loaders of that format "
                                                + "replace nn.Linear only (use format gptq)")
                                        .formatted(linear.name(), format.name()));
                    } else {
                        Scheme scheme = scheme(linear, layer);
                        if (scheme == null && format.isPlain()) {
                            continue;
                        }
                        if (scheme == null) {
                            kept.add(new Plan.Kept(
                                    linear.name(),
                                    format.stacks()
                                            ? "format %s is for stacked experts alone".formatted(format.name())
                                            : "no type of the format fits its inputs"));
                        } else {
                            linears.add(new Plan.LinearPlan(linear.name(), linear.outputs(), linear.inputs(), scheme));
                        }
                    }
                }
                Site site = all.get(i);
                if (!linears.isEmpty()) {
                    sites.add(new Plan.SitePlan(
                            layer,
                            i,
                            site.expert(),
                            site.rank(),
                            site.name(),
                            site.inputs(),
                            linears,
                            fitted.contains(i)));
                }
            }
        }
        if (transform.fitted() && sites.stream().noneMatch(Plan.SitePlan::fitted)) {
            throw new QuernException(
                    "Cannot use transform %s on %s, a %s model: nothing before its linears takes a factor (leave --transform away)"
                            .formatted(
                                    transform.name(),
                                    request.source(),
                                    model.config().modelType()));
        }
        if (sites.isEmpty() && format.isPlain()) {
            if (Gathering.of(recipe).any()) {
                throw new QuernException(
                        "Cannot use method %s for format %s: it has no codes to choose (leave --method away)"
                                .formatted(recipe.method(), format.name()));
            }
        } else if (sites.isEmpty()) {
            throw new QuernException("Cannot quantize %s: the recipe skips every linear (shorten its list 'skip')"
                    .formatted(request.source()));
        }
        for (int layer = 0; recipe.fixed().cache() && layer < model.layers(); layer++) {
            String module = model.cache(layer);
            if (module == null) {
                throw new QuernException(
                        "Cannot fix scales of keys and values: the cache of a %s keeps something else in layer %d (leave --kv-cache away)"
                                .formatted(model.config().modelType(), layer));
            }
            sites.add(Plan.SitePlan.cache(layer, module));
        }
        return sites;
    }

    /** Experts whose weights are slices are one module to loaders. */
    private void refuseSomeExperts(List<Plan.SitePlan> sites) {
        for (int layer = 0; format.stacks() && layer < model.layers(); layer++) {
            int at = layer;
            long quantized = sites.stream()
                    .filter(site -> site.layer() == at)
                    .mapToLong(site -> site.linears().size())
                    .sum();
            long slices = model.sites(layer).stream()
                    .flatMap(site -> site.linears().stream())
                    .filter(Linear::isSlice)
                    .count();
            if (quantized > 0 && quantized < slices) {
                throw new QuernException(
                        "Cannot keep some experts of layer %d in format %s: its loaders take all of a layer or none (amend the recipe's list 'skip')"
                                .formatted(layer, format.name()));
            }
        }
    }

    /** The sites of a layer, by index, to whose inputs the transform is fitted. */
    private Set<Integer> fitted(int layer) {
        return transform.fitted()
                ? model.absorbers(layer).stream()
                        .filter(transform::takes)
                        .map(Absorber::index)
                        .collect(Collectors.toSet())
                : Set.of();
    }

    private void refuseMixture(List<Plan.SitePlan> sites) {
        for (Recipe.LinearOverride override : recipe.overrides()) {
            Pattern match = Pattern.compile(override.match());
            if (sites.stream()
                    .flatMap(s -> s.linears().stream())
                    .noneMatch(l -> match.matcher(l.name()).find())) {
                throw new QuernException(
                        "Cannot override %s: no linear that is quantized has that in its name (quern inspect shows the names)"
                                .formatted(override.match()));
            }
        }
        long schemes = sites.stream()
                .flatMap(s -> s.linears().stream())
                .map(Plan.LinearPlan::scheme)
                .distinct()
                .count();
        // Without overrides it is the format that chose them.
        if (schemes > 1 && !format.mixes() && !recipe.overrides().isEmpty()) {
            throw new QuernException(
                    "Cannot mix widths in format %s: its config has one for all linears (use --format gptq or compressed-tensors, or leave the recipe's overrides away)"
                            .formatted(format.name()));
        }
    }

    /** The scheme of a linear; what the recipe says of it in particular is settled by the format like the rest. */
    private @Nullable Scheme scheme(Linear linear, int layer) {
        ModelConfig config = model.config();
        LinearPlace place = new LinearPlace(
                config.modelType(),
                linear.name(),
                linear.outputs(),
                linear.inputs(),
                layer,
                model.layers(),
                config.heads() / config.kvHeads(),
                model.experts(layer),
                Methods.named(recipe.method()).needsHessian(recipe));
        return format.scheme(format.settled(request.recipe().of(linear.name())), model.weightType(), place);
    }

    private void checkShapes(List<Plan.SitePlan> sites) {
        for (Plan.SitePlan site : sites) {
            for (Plan.LinearPlan linear : site.linears()) {
                int inputs = linear.inputs();
                Scheme scheme = linear.scheme();
                if (inputs % scheme.groupLength(inputs) != 0) {
                    throw new QuernException(
                            "Cannot quantize %s in groups of %d: its %d inputs are not divisible by that (use %s)"
                                    .formatted(linear.name(), scheme.groupSize(), inputs, dividing(sites)));
                }
                String reason = format.refuses(scheme, linear.outputs(), inputs);
                if (reason != null) {
                    throw new QuernException(
                            "Cannot write %s as %s: %s".formatted(linear.name(), format.name(), reason));
                }
            }
        }
    }

    /** The usual group sizes that divide every linear's inputs. */
    private static String dividing(List<Plan.SitePlan> sites) {
        TreeSet<Integer> sizes = new TreeSet<>();
        for (int size = 8; size <= 1024; size *= 2) {
            int candidate = size;
            if (sites.stream().allMatch(s -> s.inputs() % candidate == 0)) {
                sizes.add(size);
            }
        }
        String or = sizes.isEmpty()
                ? ""
                : sizes.stream()
                                .map(String::valueOf)
                                .reduce((a, b) -> a + ", " + b)
                                .orElse("") + ", or ";
        return or + "-1 for whole rows";
    }
}
