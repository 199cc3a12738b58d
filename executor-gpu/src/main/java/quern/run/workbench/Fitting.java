package quern.run.workbench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import quern.method.Statistics;
import quern.model.Absorber;
import quern.plan.Plan;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;
import quern.transform.Transform;
import quern.transform.Transforms;
import quern.transform.Vectors;

/** What the plan's transform finds for a site, as a file in the run's folder that holds one tensor. */
public final class Fitting {
    private static final String FACTORS = "factors";

    private Fitting() {}

    /** Fits the transform to a site's inputs. */
    public static SiteManifest site(Workbench bench, Plan.SitePlan site, Statistics inputs, Stopwatch watch)
            throws IOException {
        Transform transform = Transforms.named(bench.plan().recipe().transform());
        Absorber absorber = bench.original().absorbers(site.layer()).stream()
                .filter(a -> a.index() == site.index())
                .findFirst()
                .orElseThrow();
        List<Transform.Sample> linears = new ArrayList<>();
        for (Plan.LinearPlan linear : site.linears()) {
            linears.add(new Transform.Sample(
                    linear.name(),
                    watch.time(
                            Phase.LOAD,
                            () -> bench.original().weight(bench.original().linear(site.layer(), linear.name()))),
                    linear.scheme()));
        }
        float[] factors = watch.time(Phase.SOLVE, () -> transform.fit(absorber, linears, inputs, bench.device()));
        List<TensorSpec> specs = List.of(new TensorSpec(FACTORS, DType.F32, List.of((long) factors.length)));
        String file = bench.folder().vector(site.layer(), site.index());
        bench.output()
                .write(
                        file,
                        out -> SafetensorsWriter.writeBuffers(
                                out, specs, Map.of(), spec -> HalfFloats.fromFloats(factors, DType.F32)));
        return SiteManifest.waiting(bench.plan(), site, inputs.tokens());
    }

    /** What was found, read when it is first asked for. */
    static Vectors vectors(Plan plan, BlobStore output) {
        RunFolder folder = new RunFolder(plan.id());
        Set<Long> fitted = plan.sites().stream()
                .filter(Plan.SitePlan::fitted)
                .map(Plan.SitePlan::key)
                .collect(Collectors.toSet());
        Map<Long, float[]> read = new ConcurrentHashMap<>();
        return new Vectors() {
            @Override
            public float @Nullable [] of(int layer, int site) throws IOException {
                long key = Plan.SitePlan.key(layer, site);
                if (!fitted.contains(key)) {
                    return null;
                }
                try {
                    return read.computeIfAbsent(key, k -> file(output, folder.vector(layer, site)));
                } catch (UncheckedIOException e) {
                    throw e.getCause();
                }
            }
        };
    }

    private static float[] file(BlobStore output, String file) {
        try {
            Checkpoint vector = Checkpoint.file(output, file);
            int size = Math.toIntExact(vector.spec(FACTORS).elements());
            return HalfFloats.toFloats(vector.read(FACTORS), DType.F32, size);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
