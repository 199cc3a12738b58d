package quern.run.workbench;

import java.io.Serializable;
import java.util.List;
import quern.plan.Plan;

/**
 * What the solve of one site wrote.
 *
 * @param plan the id of the plan that it belongs to
 * @param layer its layer
 * @param site its place among the layer's sites
 * @param file the piece, a safetensors file in the run's folder
 * @param sha256 of the piece
 * @param tokens that its Hessian has seen; 0 without a Hessian
 * @param further how many of these came from further text, which was drawn on for it; -1 if none was
 * @param linears what became of each linear
 */
public record SiteManifest(
        String plan,
        int layer,
        int site,
        String file,
        String sha256,
        long tokens,
        long further,
        List<LinearManifest> linears)
        implements Serializable {
    public SiteManifest {
        linears = List.copyOf(linears);
    }

    /** What a task says of a site whose Hessian it has only stored: no piece is there yet. */
    public static SiteManifest waiting(Plan plan, Plan.SitePlan site, long tokens) {
        return new SiteManifest(plan.id(), site.layer(), site.index(), "", "", tokens, -1, List.of());
    }

    /** See {@link Plan.SitePlan#key}. */
    public long key() {
        return Plan.SitePlan.key(layer, site);
    }

    public boolean hasNoPiece() {
        return file.isEmpty();
    }

    /**
     * @param loss tr(E H ET) per token of the codes that were chosen
     * @param roundToNearest the same of round-to-nearest
     * @param norm the same of the weight itself: what a relative error is relative to
     * @param notes damping raised, a fall-back: a line each in the report
     */
    public record LinearManifest(
            String name, int outputs, int inputs, double loss, double roundToNearest, double norm, List<String> notes)
            implements Serializable {
        public LinearManifest {
            notes = List.copyOf(notes);
        }
    }
}
