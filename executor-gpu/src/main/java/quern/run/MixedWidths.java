package quern.run;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.plan.Allocation;
import quern.plan.Plan;

/**
 * Which width each linear gets, so that the model has so many bits a weight and the sum of losses is the least. All widths are
 * tried on the same Hessians; what each costs a linear is measured, not modelled, and the codes are there already.
 *
 * <p>Linears that share an input have one width, and so have the experts of a layer: servers join their weights.
 */
public final class MixedWidths {
    private static final int POINTS = 33;

    private final List<Plan> plans;
    private final List<List<Plan.SitePlan>> units;
    private final long weights;

    /** @param plans of one model and calibration, which differ in their widths alone, the narrowest first */
    public MixedWidths(List<Plan> plans) {
        this.plans = List.copyOf(plans);
        Map<List<Integer>, List<Plan.SitePlan>> byStep = new LinkedHashMap<>();
        for (Plan.SitePlan site : plans.get(0).sites()) {
            byStep.computeIfAbsent(List.of(site.layer(), site.rank()), step -> new ArrayList<>())
                    .add(site);
        }
        units = List.copyOf(byStep.values());
        weights = linears(plans.get(0).sites()).stream()
                .mapToLong(l -> (long) l.outputs() * l.inputs())
                .sum();
    }

    private static List<Plan.LinearPlan> linears(Collection<Plan.SitePlan> sites) {
        return sites.stream().flatMap(s -> s.linears().stream()).toList();
    }

    /** A {@link QuernException} where the widths cannot come to so many bits a weight, scales and zero points included. */
    public void require(double target) {
        double least = (double) bits(plans.get(0), plans.get(0).sites()) / weights;
        Plan widest = plans.get(plans.size() - 1);
        double most = (double) bits(widest, widest.sites()) / weights;
        if (target < least || target > most) {
            throw new QuernException(
                    "Cannot reach %s bits a weight: with scales and zero points it is %.3f at %d bits and %.3f at %d (use a number between, or other groups)"
                            .formatted(target, least, width(plans.get(0)), most, width(widest)));
        }
    }

    private static int width(Plan plan) {
        return plan.schemes().usual().bits();
    }

    /** Stored bits. */
    private static long bits(Plan plan, Collection<Plan.SitePlan> sites) {
        Format format = Formats.named(plan.recipe().format());
        return linears(sites).stream()
                .flatMap(l -> format.layout(l.name(), l.outputs(), l.inputs(), l.scheme()).stream())
                .mapToLong(t -> 8 * t.bytes())
                .sum();
    }

    /**
     * What was chosen.
     *
     * @param widthOfLinear by full name
     * @param sites the pieces, each of the plan of its width
     * @param bitsPerWeight that it came to
     * @param curve the least loss for other numbers of bits
     */
    public record Choice(
            Map<String, Integer> widthOfLinear, List<SiteManifest> sites, double bitsPerWeight, List<Point> curve) {}

    /**
     * @param bitsPerWeight scales and zero points included
     * @param loss relative to the output, summed over linears
     */
    public record Point(double bitsPerWeight, double loss) {}

    /** @param manifests of all sites, of each plan */
    public Choice choose(List<List<SiteManifest>> manifests, double target) {
        List<Map<Long, SiteManifest>> done = manifests.stream()
                .map(some -> {
                    Map<Long, SiteManifest> byKey = new TreeMap<>();
                    some.forEach(m -> byKey.put(m.key(), m));
                    return byKey;
                })
                .toList();
        List<Allocation.Unit> choices = new ArrayList<>();
        for (List<Plan.SitePlan> unit : units) {
            choices.add(new Allocation.Unit(IntStream.range(0, plans.size())
                    .mapToObj(p -> new Allocation.Choice(bits(plans.get(p), sites(p, unit)), loss(done.get(p), unit)))
                    .toList()));
        }
        Allocation allocation = new Allocation(
                choices,
                bits(plans.get(plans.size() - 1), plans.get(plans.size() - 1).sites()));
        int[] chosen = Objects.requireNonNull(allocation.choose((long) (target * weights)));
        Map<String, Integer> widths = new LinkedHashMap<>();
        List<SiteManifest> sites = new ArrayList<>();
        long bits = 0;
        for (int u = 0; u < chosen.length; u++) {
            int width = width(plans.get(chosen[u]));
            for (Plan.SitePlan site : units.get(u)) {
                sites.add(Objects.requireNonNull(done.get(chosen[u]).get(PassTiles.siteKey(site))));
                site.linears().forEach(l -> widths.put(l.name(), width));
            }
            bits += choices.get(u).choices().get(chosen[u]).bits();
        }
        List<Point> curve = allocation.curve(POINTS).stream()
                .map(p -> new Point((double) p.bits() / weights, p.loss()))
                .toList();
        return new Choice(widths, sites, (double) bits / weights, curve);
    }

    /** The same sites with the schemes of another plan. */
    private List<Plan.SitePlan> sites(int plan, List<Plan.SitePlan> unit) {
        Map<Long, Plan.SitePlan> all = PassTiles.byKey(
                plans.get(plan).sites(unit.get(0).layer(), unit.get(0).layer() + 1));
        return unit.stream()
                .map(s -> Objects.requireNonNull(all.get(PassTiles.siteKey(s))))
                .toList();
    }

    private static double loss(Map<Long, SiteManifest> done, List<Plan.SitePlan> unit) {
        double loss = 0;
        for (Plan.SitePlan site : unit) {
            for (SiteManifest.LinearManifest l :
                    Objects.requireNonNull(done.get(PassTiles.siteKey(site))).linears()) {
                String objective = System.getProperty("quern.objective", "relative");
                loss += switch (objective) {
                    case "raw" -> l.loss();
                    case "perweight" -> l.norm() > 0 ? l.loss() / l.norm() * l.outputs() * l.inputs() : 0;
                    default -> l.norm() > 0 ? l.loss() / l.norm() : 0;
                };
            }
        }
        return loss;
    }
}
