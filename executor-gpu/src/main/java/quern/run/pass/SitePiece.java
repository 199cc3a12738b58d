package quern.run.pass;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import quern.format.FixedScale;
import quern.method.Method;
import quern.plan.Plan;
import quern.run.shard.ShardTasks;
import quern.run.workbench.Phase;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSpec;

/** The file of a site's tensors, linear by linear, and the manifest of it. */
final class SitePiece {
    private final Workbench bench;
    private final Gathered gathered;
    private final List<TensorSpec> specs = new ArrayList<>();
    private final List<ByteBuffer> buffers = new ArrayList<>();
    private final List<SiteManifest.LinearManifest> linears = new ArrayList<>();

    SitePiece(Workbench bench, Gathered gathered) {
        this.bench = bench;
        this.gathered = gathered;
    }

    /** Packs a linear. */
    void add(Plan.LinearPlan linear, Method.Outcome outcome, Stopwatch watch) throws IOException {
        specs.addAll(bench.format().layout(linear.name(), linear.outputs(), linear.inputs(), linear.scheme()));
        buffers.addAll(watch.time(Phase.PACK, () -> bench.format().pack(outcome.quantized())));
        FixedScale inputScale = bench.inputScale();
        if (inputScale != null) {
            add(
                    inputScale.spec(linear.name()),
                    inputScale.pack(gathered.statistics().magnitude(), linear.name()));
        }
        linears.add(new SiteManifest.LinearManifest(
                linear.name(),
                linear.outputs(),
                linear.inputs(),
                outcome.losses().loss(),
                outcome.losses().roundToNearest(),
                outcome.losses().weightNorm(),
                Stream.concat(gathered.notes().stream(), outcome.notes().stream())
                        .toList()));
    }

    void add(TensorSpec spec, ByteBuffer bytes) {
        specs.add(spec);
        buffers.add(bytes);
    }

    SiteManifest write(Stopwatch watch) throws IOException {
        Plan.SitePlan site = gathered.site();
        String file = bench.folder().piece(site.layer(), site.index());
        String sha = watch.time(
                Phase.WRITE,
                () -> ShardTasks.write(
                        bench,
                        file,
                        specs,
                        Map.of(),
                        (spec, out) -> SafetensorsWriter.copy(buffers.get(specs.indexOf(spec)), out)));
        return new SiteManifest(
                bench.plan().id(),
                site.layer(),
                site.index(),
                file,
                sha,
                gathered.tokens(),
                gathered.further(),
                List.copyOf(linears));
    }
}
