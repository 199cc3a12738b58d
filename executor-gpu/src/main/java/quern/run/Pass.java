package quern.run;

import java.io.Serializable;
import java.util.List;
import java.util.stream.Stream;
import quern.plan.Plan;

/**
 * A forward pass of every part through layers [from, to).
 *
 * @param from first layer; its input is the embedding of the tokens if 0, else the stored activations
 * @param to end of the layers
 * @param tapFrom layers from here on are tapped
 * @param tapRank the one rank of a layer's sites to tap, or -1 for all
 * @param stored layers whose inputs are kept as activation files
 * @param quantized sites that are to run with their quantized weights
 */
public record Pass(int from, int to, int tapFrom, int tapRank, List<Integer> stored, List<SiteManifest> quantized)
        implements Serializable {
    public Pass {
        stored = List.copyOf(stored);
        quantized = List.copyOf(quantized);
    }

    /** The sites whose Hessians it gathers, pools included. */
    public List<Plan.SitePlan> sites(Plan plan) {
        return Stream.concat(plan.sites(tapFrom, to).stream(), plan.pools(tapFrom, to).stream())
                .filter(this::taps)
                .toList();
    }

    /** Whether this site's input is to be summed into a Hessian. */
    public boolean taps(Plan.SitePlan site) {
        return site.layer() >= tapFrom && site.layer() < to && (tapRank == -1 || tapRank == site.rank());
    }
}
