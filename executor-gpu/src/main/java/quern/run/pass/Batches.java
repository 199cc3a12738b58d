package quern.run.pass;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.plan.Plan;
import quern.run.workbench.Pass;
import quern.run.workbench.Workbench;

/**
 * Puts sites of experts that are alike together, until they are as much as a {@link Plan#batchBytes batch} may be. A site becomes the same
 * in any batch and alone, so it does not matter which ones come, in what order, or where they are cut.
 *
 * @param <T> what comes of a site
 */
public final class Batches<T> {
    private final List<Workbench> benches;
    private final Pass pass;
    private final long most; // bytes of a batch
    private final Map<Kind, Open<T>> open = new LinkedHashMap<>();
    private int layer = -1;

    /** @param benches of the plans whose linears are quantized */
    public Batches(List<Workbench> benches, Pass pass) {
        this(benches, pass, benches.isEmpty() ? 0 : benches.get(0).plan().batchBytes());
    }

    Batches(List<Workbench> benches, Pass pass, long most) {
        this.benches = benches;
        this.pass = pass;
        this.most = most;
    }

    /** What sites of a batch have in common: their step of the layer, and of each plan the shapes and schemes of the linears. */
    private record Kind(int layer, int rank, List<List<Plan.LinearPlan>> linears) {}

    private record Open<T>(List<T> items, long[] bytes) {}

    /** The next site; gives the batches that are complete. Those of another layer are. */
    public List<List<T>> add(Plan.SitePlan site, T item) {
        List<List<T>> complete = new ArrayList<>();
        if (site.layer() != layer) {
            complete.addAll(rest());
            layer = site.layer();
        }
        Kind kind = kind(site);
        if (kind == null || site.solveBytes() > most) {
            complete.add(List.of(item));
            return complete;
        }
        Open<T> batch = open.get(kind);
        if (batch != null && batch.bytes()[0] + site.solveBytes() > most) {
            complete.add(batch.items());
            batch = null;
        }
        if (batch == null) {
            batch = new Open<>(new ArrayList<>(), new long[1]);
            open.put(kind, batch);
        }
        batch.items().add(item);
        batch.bytes()[0] += site.solveBytes();
        return complete;
    }

    /** All that are not complete. */
    public List<List<T>> rest() {
        List<List<T>> rest = open.values().stream().map(Open::items).toList();
        open.clear();
        return rest;
    }

    /** Null for what is solved alone. */
    private @Nullable Kind kind(Plan.SitePlan site) {
        if (!site.ofExpert() || pass.fits() || pass.round() > 0) {
            return null;
        }
        List<List<Plan.LinearPlan>> linears = new ArrayList<>();
        for (Workbench bench : benches) {
            Plan.SitePlan own = bench.site(site);
            if (own == null
                    || !own.linears().stream().allMatch(l -> bench.method().batches(l.scheme()))) {
                return null;
            }
            linears.add(own.linears().stream().map(Batches::nameless).toList());
        }
        return new Kind(site.layer(), site.rank(), linears);
    }

    private static Plan.LinearPlan nameless(Plan.LinearPlan linear) {
        return new Plan.LinearPlan("", linear.outputs(), linear.inputs(), linear.scheme());
    }

    /** Sites that are known beforehand, each in its batch. */
    public static List<List<Plan.SitePlan>> of(List<Workbench> benches, Pass pass, List<Plan.SitePlan> sites) {
        Batches<Plan.SitePlan> batches = new Batches<>(benches, pass);
        List<List<Plan.SitePlan>> all = new ArrayList<>();
        for (Plan.SitePlan site : sites) {
            all.addAll(batches.add(site, site));
        }
        all.addAll(batches.rest());
        return all;
    }
}
