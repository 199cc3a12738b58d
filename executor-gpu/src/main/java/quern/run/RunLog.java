package quern.run;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import quern.plan.Plan;
import quern.run.workbench.RunFolder;
import quern.run.workbench.SiteManifest;
import quern.store.BlobStore;

/**
 * The manifests of finished sites, one small file each in the run's folder: written after the site's piece, so that whatever
 * the log names exists. A restart reads them and leaves those sites out.
 */
final class RunLog {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final BlobStore output;
    private final RunFolder folder;
    private final Map<Long, SiteManifest> sites = new TreeMap<>();

    private RunLog(BlobStore output, RunFolder folder) {
        this.output = output;
        this.folder = folder;
    }

    static RunLog open(BlobStore output, RunFolder folder) throws IOException {
        RunLog log = new RunLog(output, folder);
        for (String path : output.list(folder.manifests())) {
            ByteBuffer bytes = output.read(path, 0, Math.toIntExact(output.length(path)));
            byte[] json = new byte[bytes.remaining()];
            bytes.get(json);
            SiteManifest manifest = JSON.readValue(json, SiteManifest.class);
            log.sites.put(key(manifest.layer(), manifest.site()), manifest);
        }
        return log;
    }

    synchronized void add(SiteManifest manifest) throws IOException {
        byte[] json = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(manifest);
        output.write(folder.manifest(manifest.layer(), manifest.site()), out -> out.write(json));
        sites.put(key(manifest.layer(), manifest.site()), manifest);
    }

    synchronized boolean siteIsDone(int layer, int site) {
        return sites.containsKey(key(layer, site));
    }

    /** Hessians that waited for others of their layer. */
    void forgetHessians() throws IOException {
        output.delete(folder.hessians());
    }

    boolean layerIsDone(Plan plan, int layer) {
        return plan.sites(layer, layer + 1).stream().allMatch(s -> siteIsDone(layer, s.index()));
    }

    /** All finished sites, by layer and site. */
    synchronized List<SiteManifest> sites() {
        return new ArrayList<>(sites.values());
    }

    /**
     * The sites that run quantized while a layer of a stage is tapped: those of the layer before it, and, where sites are
     * taken one after the other, the layer's own of a lower rank. Not whatever else happens to be done: after a restart
     * the same weights must run as without one.
     */
    List<SiteManifest> before(Plan plan, Plan.Stage stage, int layer, int rank) {
        Set<Integer> own = plan.sites(layer, layer + 1).stream()
                .filter(s -> s.rank() < rank)
                .map(Plan.SitePlan::index)
                .collect(Collectors.toSet());
        return sites().stream()
                .filter(s -> (s.layer() == layer - 1 && s.layer() >= stage.begin())
                        || (s.layer() == layer && own.contains(s.site())))
                .toList();
    }

    private static long key(int layer, int site) {
        return (long) layer << 32 | site;
    }
}
