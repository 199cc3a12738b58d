package quern.plan;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import quern.QuernException;
import quern.format.Container;
import quern.format.Conversion;
import quern.format.Formats;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.source.PackedLinears;

/** Decides everything about a conversion: which linears are packed, what they become, the files. Reads no tensor. */
public final class ConversionPlanner {
    private final Model model;
    private final PackedLinears packed;
    private final Conversion conversion;
    private final Set<Plan.Kept> kept = new LinkedHashSet<>();
    private final Set<String> left;

    private ConversionPlanner(Model model, PackedLinears packed, Conversion conversion) {
        this.model = model;
        this.packed = packed;
        this.conversion = conversion;
        this.left = new HashSet<>(packed.names());
    }

    /**
     * A conversion that is decided.
     *
     * @param packed what it is of
     * @param bound by how much a weight may differ, as a share of it; 0 for not at all
     */
    public record Decided(Plan plan, PackedLinears packed, double bound) {}

    /** {@link QuernException} where the target has no place for some codes. */
    public static Decided plan(
            Model model, String source, String output, String format, long maxShardBytes, Planner.Machine machine)
            throws IOException {
        PackedLinears packed = PackedLinears.of(model.source(), model.config().quantization());
        Conversion conversion = new Conversion(packed.format(), Formats.named(format));
        if (conversion.to().container() != Container.SAFETENSORS) {
            throw new QuernException(
                    "Cannot convert %s to %s: the scales of its blocks are multiples of a unit, and codes would have to be chosen anew (use quern quantize)"
                            .formatted(source, format));
        }
        if (conversion.to().settled(Recipe.OPEN).fixed().inputs()) {
            throw new QuernException(
                    "Cannot convert %s to %s: that format has a scale for the inputs of each linear, which takes calibration text (use quern quantize)"
                            .formatted(source, format));
        }
        return new ConversionPlanner(model, packed, conversion).plan(source, output, maxShardBytes, machine);
    }

    private Decided plan(String source, String output, long maxShardBytes, Planner.Machine machine) throws IOException {
        List<Plan.SitePlan> sites = sites();
        if (!left.isEmpty()) {
            throw new QuernException(
                    "Cannot convert %s: %s is quantized, which is outside of the layers, and only those are written (quern quantize would do)"
                            .formatted(
                                    source, left.stream().sorted().findFirst().orElseThrow()));
        }
        Set<Scheme> schemes = new HashSet<>();
        double bound = 0;
        for (Plan.SitePlan site : sites) {
            for (Plan.LinearPlan linear : site.linears()) {
                schemes.add(linear.scheme());
                Scheme before = packed.scheme(linear.name(), linear.outputs(), linear.inputs());
                bound = Math.max(bound, Conversion.bound(before, linear.scheme()));
            }
        }
        if (schemes.size() > 1 && !conversion.to().mixes()) {
            throw new QuernException(
                    "Cannot convert %s to %s: its linears have several schemes, and that format's config has one for all (use --format gptq or compressed-tensors)"
                            .formatted(source, conversion.to().name()));
        }
        Scheme first = sites.get(0).linears().get(0).scheme();
        Recipe recipe = conversion.recipe(first.bits(), first.groupSize(), first.symmetric(), first.order());
        List<Plan.Stage> stages = List.of(new Plan.Stage(0, model.layers()));
        Planner.Request request = new Planner.Request(source, output, recipe, 1, maxShardBytes, null, machine);
        List<Plan.Shard> shards = ShardLayout.of(model, conversion.to(), sites, maxShardBytes);
        Plan plan = new Plan(
                PlanId.of(model, request, stages, sites, Plan.Calibration.NONE),
                source,
                output,
                recipe,
                Gathering.NOTHING,
                model.source().lossy(),
                machine.device(),
                machine.deviceType(),
                machine.computeType(),
                Propagation.EXACT,
                stages,
                sites,
                List.copyOf(kept),
                Plan.Calibration.NONE,
                shards,
                cost(sites, shards, machine));
        return new Decided(plan, packed, bound);
    }

    private List<Plan.SitePlan> sites() {
        List<Plan.SitePlan> sites = new ArrayList<>();
        for (int layer = 0; layer < model.layers(); layer++) {
            model.kept(layer).forEach(linear -> kept.add(new Plan.Kept(linear.name(), Plan.Kept.ROUTES)));
            List<Site> all = model.sites(layer);
            for (int i = 0; i < all.size(); i++) {
                Site site = all.get(i);
                List<Plan.LinearPlan> linears = new ArrayList<>();
                for (Linear linear : site.linears()) {
                    if (left.remove(linear.name())) {
                        linears.add(converted(linear));
                    } else {
                        kept.add(new Plan.Kept(linear.name(), "it is not quantized in the source"));
                    }
                }
                if (!linears.isEmpty()) {
                    sites.add(new Plan.SitePlan(
                            layer, i, site.expert(), site.rank(), site.name(), site.inputs(), linears));
                }
            }
        }
        return sites;
    }

    private Plan.LinearPlan converted(Linear linear) {
        if (linear.transposed() && !conversion.to().replacesConv1d()) {
            throw new QuernException(
                    "Cannot write %s as %s: it is a Conv1D, and the loaders of that format replace nn.Linear only (use format gptq)"
                            .formatted(linear.name(), conversion.to().name()));
        }
        Scheme before = packed.scheme(linear.name(), linear.outputs(), linear.inputs());
        Scheme after = conversion.scheme(before, linear.name(), linear.outputs(), linear.inputs());
        return new Plan.LinearPlan(linear.name(), linear.outputs(), linear.inputs(), after);
    }

    /** A linear at a time: its codes before and after, and both as numbers when they are compared. */
    private Plan.Cost cost(List<Plan.SitePlan> sites, List<Plan.Shard> shards, Planner.Machine machine) {
        long largest = sites.stream()
                .flatMap(s -> s.linears().stream())
                .mapToLong(l -> (long) l.outputs() * l.inputs())
                .max()
                .orElse(0);
        long bytes = shards.stream().mapToLong(Plan.Shard::bytes).sum();
        return new Plan.Cost(
                machine.slots(),
                machine.devices(),
                machine.gflops(),
                0,
                List.of(new Plan.Term("a linear, before and after", 12 * largest)),
                1,
                2 * bytes,
                bytes);
    }
}
