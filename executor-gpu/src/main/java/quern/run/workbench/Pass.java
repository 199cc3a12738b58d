package quern.run.workbench;

import java.io.Serializable;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import quern.plan.Gathering;
import quern.plan.Plan;

/**
 * A forward pass of parts through layers [from, to).
 *
 * @param from first layer; its input is the embedding of the tokens if 0, else the stored activations
 * @param to end of the layers
 * @param tapFrom layers from here on are tapped
 * @param tapRank the one rank of a layer's sites to tap, or -1 for all
 * @param stored layers whose inputs are kept as activation files
 * @param quantized sites that are to run with their quantized weights
 * @param round 0 for the plan's parts; else the round, from 1, of further ones
 * @param some in such a round, and where the transform is fitted, the keys of the sites that are tapped, see {@link
 *     Plan.SitePlan#key}
 * @param fits whether it takes the model as it is, to fit the transform to it
 */
public record Pass(
        int from,
        int to,
        int tapFrom,
        int tapRank,
        List<Integer> stored,
        List<SiteManifest> quantized,
        int round,
        Set<Long> some,
        boolean fits)
        implements Serializable {
    public Pass {
        stored = List.copyOf(stored);
        quantized = List.copyOf(quantized);
        some = Set.copyOf(some);
    }

    /** Of the plan's parts. */
    public Pass(int from, int to, int tapFrom, int tapRank, List<Integer> stored, List<SiteManifest> quantized) {
        this(from, to, tapFrom, tapRank, stored, quantized, 0, Set.of(), false);
    }

    /** A round of further parts, in full precision. */
    public static Pass further(int round, List<Plan.SitePlan> sites) {
        int last = sites.stream().mapToInt(Plan.SitePlan::layer).max().orElse(-1);
        return new Pass(
                0,
                last + 1,
                0,
                -1,
                List.of(),
                List.of(),
                round,
                sites.stream().map(Plan.SitePlan::key).collect(Collectors.toSet()),
                false);
    }

    /** Of the plan's parts through the model as it is. */
    public static Pass fitting(int from, int to, List<Integer> stored, List<Plan.SitePlan> sites) {
        return new Pass(
                from,
                to,
                from,
                -1,
                stored,
                List.of(),
                0,
                sites.stream().map(Plan.SitePlan::key).collect(Collectors.toSet()),
                true);
    }

    /** The parts that it takes. */
    public List<Plan.Part> parts(Plan plan) {
        return round == 0
                ? plan.calibration().parts()
                : plan.calibration().further().rounds().get(round - 1);
    }

    /** How many passes like it there are at a time. */
    public int beside(Plan plan) {
        boolean ofStage = round == 0 && !fits && tapFrom < plan.layers() && !plan.layerParallel();
        return ofStage ? plan.stages().size() : 1;
    }

    /** What it gathers of the inputs of sites. */
    public Gathering gathering(Plan plan, Plan.SitePlan site) {
        return fits ? Gathering.fitting(plan.recipe()) : plan.gathering(site);
    }

    /** Whether what flows through the quantized layers is compared with what would flow in full precision. */
    public boolean compares(Plan plan) {
        return round == 0
                && !fits
                && tapFrom < plan.layers()
                && plan.gathering().drifts();
    }

    /** The same in full precision. */
    public Pass inFullPrecision() {
        return new Pass(from, to, tapFrom, tapRank, stored, List.of(), round, some, fits);
    }

    /** Whether what leaves this layer is wanted. */
    public boolean goesOn(int layer) {
        return layer + 1 < to || stored.contains(layer + 1);
    }

    /** The sites whose Hessians it gathers, pools included. */
    public List<Plan.SitePlan> sites(Plan plan) {
        return Stream.concat(plan.sites(tapFrom, to).stream(), plan.pools(tapFrom, to).stream())
                .filter(this::taps)
                .toList();
    }

    /** Whether this site's input is to be summed into a Hessian. */
    public boolean taps(Plan.SitePlan site) {
        if (round > 0 || fits) {
            return some.contains(site.key());
        }
        return site.layer() >= tapFrom && site.layer() < to && (tapRank == -1 || tapRank == site.rank());
    }
}
