package quern.run;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Model;
import quern.plan.Allocation;
import quern.plan.Plan;
import quern.run.workbench.SiteManifest;

/**
 * Which width each linear gets, so that the model has so many bits a weight and the sum of losses is the least. All widths are
 * tried on the same Hessians; what each costs a linear is measured, not modelled, and the codes are there already.
 *
 * <p>Linears that share an input have one width, and so have the experts of a layer: servers join their weights.
 *
 * <p>The losses of linears that do different things are made comparable by what they do to the residual stream. A linear's error
 * relative to its output passes, about, to the output of the block that it is in: what attention or the MLP adds to the stream. So
 * its loss counts times the energy of that output, over the energy of the stream, to which all blocks so far have added:
 *
 * <pre>
 * (tr(E H ET) / tr(W H WT)) * b / (sum of b over this block and all before it),   b = tr(V H VT) of the V that writes to the stream
 * </pre>
 *
 * An expert's counts by the share of the tokens that reach it.
 */
public final class MixedWidths {
    private static final int POINTS = 33;

    private final List<Plan> plans;
    private final List<List<Plan.SitePlan>> units;
    private final long weights;
    private final Model model;

    /** @param plans of this model and one calibration, which differ in their widths alone, the narrowest first */
    public MixedWidths(Model model, List<Plan> plans) {
        this.model = model;
        this.plans = List.copyOf(plans);
        Map<List<Integer>, List<Plan.SitePlan>> byStep = new TreeMap<>(
                Comparator.<List<Integer>>comparingInt(s -> s.get(0)).thenComparingInt(s -> s.get(1)));
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
     * @param loss as above, summed over linears
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
        double[] weight = weight(done.get(0));
        for (int u = 0; u < units.size(); u++) {
            List<Plan.SitePlan> unit = units.get(u);
            double of = weight[u];
            choices.add(new Allocation.Unit(IntStream.range(0, plans.size())
                    .mapToObj(p -> new Allocation.Choice(
                            bits(plans.get(p), sites(p, unit)), of * relativeLoss(done.get(p), unit)))
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
                sites.add(Objects.requireNonNull(done.get(chosen[u]).get(site.key())));
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
        Map<Long, Plan.SitePlan> all = Plan.SitePlan.byKey(
                plans.get(plan).sites(unit.get(0).layer(), unit.get(0).layer() + 1));
        return unit.stream().map(s -> Objects.requireNonNull(all.get(s.key()))).toList();
    }

    /** Of the block that each unit is in, b over the sum of b: units are in the order of the model. */
    private double[] weight(Map<Long, SiteManifest> done) {
        double[] added = new double[units.size()]; // b of units that write to the stream
        for (int u = 0; u < added.length; u++) {
            Set<String> writers = model.writers(units.get(u).get(0).layer());
            for (Plan.SitePlan site : units.get(u)) {
                double share = share(done, units.get(u), site);
                for (SiteManifest.LinearManifest l : manifest(done, site).linears()) {
                    added[u] += writers.contains(l.name()) ? share * l.norm() : 0;
                }
            }
        }
        double[] weight = new double[added.length];
        double stream = 0;
        for (int u = 0, writer; u < added.length; u = writer + 1) {
            writer = u;
            while (writer < added.length - 1 && added[writer] == 0) {
                writer++;
            }
            stream += added[writer];
            Arrays.fill(weight, u, writer + 1, stream > 0 ? added[writer] / stream : 1);
        }
        return weight;
    }

    private static double relativeLoss(Map<Long, SiteManifest> done, List<Plan.SitePlan> unit) {
        double loss = 0;
        for (Plan.SitePlan site : unit) {
            double share = share(done, unit, site);
            for (SiteManifest.LinearManifest l : manifest(done, site).linears()) {
                loss += l.norm() > 0 ? share * l.loss() / l.norm() : 0;
            }
        }
        return loss;
    }

    /** Of the tokens that reach a unit, those that reach one of its sites. */
    private static double share(Map<Long, SiteManifest> done, List<Plan.SitePlan> unit, Plan.SitePlan site) {
        long all = unit.stream().mapToLong(s -> manifest(done, s).tokens()).sum();
        return all == 0 ? 1.0 / unit.size() : (double) manifest(done, site).tokens() / all;
    }

    private static SiteManifest manifest(Map<Long, SiteManifest> done, Plan.SitePlan site) {
        return Objects.requireNonNull(done.get(site.key()));
    }
}
