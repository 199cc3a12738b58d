package quern.run;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import quern.QuernException;
import quern.format.Format;
import quern.plan.Plan;
import quern.run.shard.CastManifest;
import quern.run.shard.CastShard;
import quern.run.shard.CodesDigest;
import quern.run.workbench.RunFolder;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.QuantizedLinear;
import quern.store.BlobStore;
import quern.store.Checkpoint;

/**
 * A plan without calibration, carried out file to file: a task for each shard, no pieces. A shard's manifest is written after it;
 * a restart leaves out what has one.
 */
final class Casting {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Plan plan;
    private final PlanRunner runner;
    private final BlobStore output;
    private final Quantization.Listener listener;
    private final RunFolder folder;

    Casting(Plan plan, PlanRunner runner, BlobStore output, Quantization.Listener listener) {
        this.plan = plan;
        this.runner = runner;
        this.output = output;
        this.listener = listener;
        this.folder = new RunFolder(plan.id());
    }

    Quantization.Result run(Stopwatch watch) throws IOException {
        List<CastManifest> done = finished(plan, output);
        List<String> files = done.stream().map(m -> m.shard().file()).toList();
        List<Plan.Shard> open = new ArrayList<>(
                plan.shards().stream().filter(s -> !files.contains(s.file())).toList());
        listener.casting(open);
        // Slots that have no shard help the others with theirs.
        int threads = Math.max(1, plan.cost().slots() / Math.max(1, open.size()));
        runner.each(
                plan,
                "quantize, file to file",
                open,
                (bench, shard, w) -> new CastShard(bench, shard, w).write(threads),
                watch,
                manifest -> {
                    byte[] json = JSON.writeValueAsBytes(manifest);
                    output.write(folder.shard(manifest.shard().file()), out -> out.write(json));
                    done.add(manifest);
                    listener.cast(manifest.shard());
                });
        done.sort(Comparator.comparing(m -> m.shard().file()));
        return new Quantization.Result(
                sites(done), done.stream().map(CastManifest::shard).toList(), watch);
    }

    /** The shards that are there as their manifests say. */
    private static List<CastManifest> finished(Plan plan, BlobStore output) throws IOException {
        List<CastManifest> finished = new ArrayList<>();
        for (Plan.Shard shard : plan.shards()) {
            String path = new RunFolder(plan.id()).shard(shard.file());
            if (output.exists(path) && output.exists(shard.file())) {
                ByteBuffer bytes = output.read(path, 0, Math.toIntExact(output.length(path)));
                byte[] json = new byte[bytes.remaining()];
                bytes.get(json);
                CastManifest manifest = JSON.readValue(json, CastManifest.class);
                if (output.length(shard.file()) == manifest.shard().bytes()) {
                    finished.add(manifest);
                }
            }
        }
        return finished;
    }

    /** The linears by the sites of the plan, as the report wants them. */
    private List<SiteManifest> sites(List<CastManifest> shards) {
        Map<String, CastManifest.CastLinear> linears = new HashMap<>();
        Map<String, String> fileOfLinear = new HashMap<>();
        for (CastManifest shard : shards) {
            for (CastManifest.CastLinear linear : shard.linears()) {
                linears.put(linear.name(), linear);
                fileOfLinear.put(linear.name(), shard.shard().file());
            }
        }
        List<SiteManifest> sites = new ArrayList<>();
        for (Plan.SitePlan site : plan.sites()) {
            List<SiteManifest.LinearManifest> ofSite = new ArrayList<>();
            for (Plan.LinearPlan linear : site.linears()) {
                CastManifest.CastLinear cast = Objects.requireNonNull(linears.get(linear.name()), linear.name());
                ofSite.add(new SiteManifest.LinearManifest(
                        linear.name(),
                        linear.outputs(),
                        linear.inputs(),
                        cast.loss(),
                        cast.roundToNearest(),
                        cast.weightNorm(),
                        cast.notes()));
            }
            String file = Objects.requireNonNull(
                    fileOfLinear.get(site.linears().get(0).name()));
            sites.add(new SiteManifest(plan.id(), site.layer(), site.index(), file, "", 0, -1, ofSite));
        }
        return sites;
    }

    /**
     * Reads the written shards as a loader would: each linear is unpacked and compared with the digest of what it was quantized to,
     * whose distance from the source was measured then.
     */
    static List<String> verify(Plan plan, PlanRunner runner, BlobStore output) throws IOException {
        List<String> findings = new ArrayList<>();
        Map<String, Plan.SitePlan> siteOfLinear = new HashMap<>();
        plan.sites().forEach(site -> site.linears().forEach(linear -> siteOfLinear.put(linear.name(), site)));
        ArrayList<Written> linears = new ArrayList<>();
        for (CastManifest shard : finished(plan, output)) {
            for (CastManifest.CastLinear linear : shard.linears()) {
                linears.add(new Written(Objects.requireNonNull(siteOfLinear.get(linear.name())), linear));
            }
        }
        runner.each(
                plan,
                "verify",
                linears,
                (bench, linear, watch) -> linear(bench, linear.site(), linear.linear()),
                new Stopwatch(),
                findings::addAll);
        return findings;
    }

    private record Written(Plan.SitePlan site, CastManifest.CastLinear linear) implements java.io.Serializable {}

    private static ArrayList<String> linear(Workbench bench, Plan.SitePlan site, CastManifest.CastLinear cast)
            throws IOException {
        Format format = bench.format();
        Plan.LinearPlan linear = site.linears().stream()
                .filter(l -> l.name().equals(cast.name()))
                .findFirst()
                .orElseThrow();
        Checkpoint written = bench.written();
        if (!format.keepsScales()) { // what comes back differs from what was packed
            return new ArrayList<>(Verification.linear(
                    format,
                    linear.scheme(),
                    bench.model().linear(site.layer(), linear.name()),
                    written,
                    bench.model()));
        }
        ArrayList<String> findings = new ArrayList<>();
        try {
            QuantizedLinear read = format.unpack(linear.name(), written, linear.scheme());
            findings.addAll(Verification.grid(linear.name(), read));
            if (!CodesDigest.of(read).equals(cast.digest())) {
                findings.add(linear.name() + " does not come back as it was quantized");
            }
        } catch (QuernException e) {
            findings.add(String.valueOf(e.getMessage()));
        }
        Verification.distance(linear.name(), cast.loss(), cast.weightNorm(), linear.scheme())
                .ifPresent(findings::add);
        return findings;
    }
}
