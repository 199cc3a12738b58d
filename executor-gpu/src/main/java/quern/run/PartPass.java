package quern.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.calibrate.RowFile;
import quern.device.DeviceMatrix;
import quern.method.Statistics;
import quern.model.LayerRun;
import quern.model.Linear;
import quern.model.Site;
import quern.model.Tap;
import quern.model.Weights;
import quern.plan.Plan;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * One part on its way through the layers of a pass: each {@link #next} runs a stretch of a layer, one expert or all between experts,
 * over the whole part and gives the statistics of tapped sites that are complete then. The part's hidden states stay on the device
 * between layers; a layer's weights are loaded once for the part.
 *
 * <p>Batches are taken in order and each Hessian is summed in that order, so the result depends on the plan alone.
 */
final class PartPass implements Iterator<List<PartPass.OfSite>>, AutoCloseable {
    /** @param statistics of the part's tokens; of the sum, the lower triangle */
    record OfSite(int layer, int site, Statistics statistics) {}

    private final Workbench bench;
    private final Pass pass;
    private final Plan.Part part;
    private final Stopwatch watch;
    private final List<DeviceMatrix> hidden; // each (batch sequences * length) x hidden size, F32
    private int layer;
    private @Nullable Running running;

    PartPass(Workbench bench, Pass pass, Plan.Part part, Stopwatch watch) throws IOException {
        this.bench = bench;
        this.pass = pass;
        this.part = part;
        this.watch = watch;
        this.layer = pass.from();
        this.hidden = watch.time(Phase.LOAD, () -> layer == 0 ? embed() : stored());
    }

    @Override
    public boolean hasNext() {
        return layer < pass.to();
    }

    @Override
    public List<OfSite> next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        try {
            if (running == null && pass.stored().contains(layer)) {
                watch.time(Phase.WRITE, this::store);
            }
            return advance();
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "Cannot run layer %d over part %d: %s".formatted(layer, part.index(), e.getMessage()), e);
        }
    }

    private List<OfSite> advance() throws IOException {
        Running now = running == null ? new Running() : running;
        running = now;
        if (now.advance()) {
            return now.taps.expertsDone();
        }
        List<OfSite> rest = now.taps.layerDone();
        now.close();
        running = null;
        layer++;
        return rest;
    }

    /** A layer that the part is in. Weights of experts are read on the way. */
    private final class Running implements AutoCloseable {
        private final Taps taps = new Taps();
        private final Layers.Lent lent;
        private final LayerRun run;
        private long loading;

        Running() throws IOException {
            Weights weights = bench.layers().weights(pass);
            lent = watch.time(Phase.LOAD, () -> bench.layers().take(pass, layer));
            run = lent.layer()
                    .start(
                            hidden,
                            bench.plan().calibration().length(),
                            taps,
                            (linear, device) -> timed(weights, linear));
        }

        private DeviceMatrix timed(Weights weights, Linear linear) throws IOException {
            long start = System.nanoTime();
            try {
                return weights.weight(linear, bench.device());
            } finally {
                loading += System.nanoTime() - start;
            }
        }

        boolean advance() throws IOException {
            taps.nanos = 0;
            loading = 0;
            long start = System.nanoTime();
            boolean more = run.advance();
            watch.add(Phase.HESSIAN, taps.nanos);
            watch.add(Phase.LOAD, loading);
            watch.add(Phase.CALIBRATE, System.nanoTime() - start - taps.nanos - loading);
            return more;
        }

        @Override
        public void close() {
            run.close();
            lent.close();
            taps.close();
        }
    }

    /** The statistics of the layer's tapped sites, growing batch by batch; that of an expert is let go when the next one's turn comes. */
    private final class Taps implements Tap, AutoCloseable {
        private final Map<String, Plan.SitePlan> sites = new HashMap<>(); // by name
        private final Map<Integer, Plan.SitePlan> pools = new LinkedHashMap<>(); // by rank
        private final Map<Plan.SitePlan, GrowingStatistics> growing = new LinkedHashMap<>();
        private Plan.@Nullable SitePlan cache;
        private @Nullable GrowingStatistics keys;
        private @Nullable GrowingStatistics values;
        private long nanos;

        Taps() {
            for (Plan.SitePlan site : bench.plan().sites(layer, layer + 1)) {
                if (pass.taps(site) && site.isCache()) {
                    cache = site;
                } else if (pass.taps(site)) {
                    sites.put(site.name(), site);
                }
            }
            for (Plan.SitePlan pool : bench.plan().pools(layer, layer + 1)) {
                if (pass.taps(pool)) {
                    pools.put(pool.rank(), pool);
                }
            }
        }

        @Override
        public void input(Site site, DeviceMatrix x) {
            long start = System.nanoTime();
            Plan.SitePlan tapped = sites.get(site.name());
            if (tapped != null) {
                growing.computeIfAbsent(
                                tapped,
                                s -> new GrowingStatistics(bench.device(), s.inputs(), pass.gathering(bench.plan(), s)))
                        .add(x);
            }
            nanos += System.nanoTime() - start;
        }

        @Override
        public void cached(int layer, DeviceMatrix k, DeviceMatrix v) {
            if (cache != null) {
                keys = keys == null ? ofCache(k) : keys;
                values = values == null ? ofCache(v) : values;
                keys.add(k);
                values.add(v);
            }
        }

        private GrowingStatistics ofCache(DeviceMatrix x) {
            return new GrowingStatistics(
                    bench.device(), x.cols(), pass.gathering(bench.plan(), Objects.requireNonNull(cache)));
        }

        /** Those of experts, which no further batch comes to. */
        List<OfSite> expertsDone() {
            List<Plan.SitePlan> done =
                    growing.keySet().stream().filter(Plan.SitePlan::ofExpert).toList();
            List<OfSite> statistics = new ArrayList<>();
            for (Plan.SitePlan site : done) {
                try (GrowingStatistics expert = Objects.requireNonNull(growing.remove(site))) {
                    Plan.SitePlan pool = pools.get(site.rank());
                    if (pool != null) {
                        growing.computeIfAbsent(
                                        pool,
                                        p -> new GrowingStatistics(
                                                bench.device(), p.inputs(), pass.gathering(bench.plan(), p)))
                                .add(expert);
                    }
                    statistics.add(new OfSite(layer, site.index(), expert.statistics()));
                }
            }
            return statistics;
        }

        List<OfSite> layerDone() {
            List<OfSite> statistics = new ArrayList<>();
            growing.forEach((site, all) -> statistics.add(new OfSite(layer, site.index(), all.statistics())));
            if (cache != null && keys != null && values != null) {
                Statistics k = keys.statistics();
                float[] largest = {k.magnitude(), values.statistics().magnitude()};
                statistics.add(new OfSite(layer, cache.index(), Statistics.of(k.tokens(), null, largest)));
            }
            return statistics;
        }

        @Override
        public void close() {
            growing.values().forEach(GrowingStatistics::close);
            if (keys != null && values != null) {
                keys.close();
                values.close();
            }
        }
    }

    /** After the last layer: keeps what left it, if the next layer's input is wanted. */
    void finish() throws IOException {
        if (pass.stored().contains(layer)) {
            watch.time(Phase.WRITE, this::store);
        }
    }

    private List<DeviceMatrix> embed() throws IOException {
        List<int[]> sequences = CalibrationTokens.read(bench.output(), bench.plan(), part);
        int batch = bench.plan().calibration().batch();
        List<DeviceMatrix> batches = new ArrayList<>();
        for (int at = 0; at < sequences.size(); at += batch) {
            int[] ids = sequences.subList(at, Math.min(at + batch, sequences.size())).stream()
                    .flatMapToInt(Arrays::stream)
                    .toArray();
            batches.add(bench.entry().forward(ids, bench.plan().calibration().length()));
        }
        return batches;
    }

    private List<DeviceMatrix> stored() throws IOException {
        List<DeviceMatrix> batches = new ArrayList<>();
        try (RowFile.Reader file =
                RowFile.open(bench.output().open(bench.folder().activations(layer, part.index())))) {
            for (int b = 0; b < file.batches(); b++) {
                ByteBuffer rows = file.read(b);
                int count = rows.remaining() / (file.width() * file.dtype().bytes());
                batches.add(bench.device().upload(rows, file.dtype(), count, file.width(), DType.F32));
            }
        }
        return batches;
    }

    /** Goes on with what was stored, rounding included: a restart reads the same numbers. */
    private List<DeviceMatrix> store() throws IOException {
        DType dtype = bench.plan().computeType();
        int width = hidden.get(0).cols();
        List<ByteBuffer> batches = new ArrayList<>();
        for (int b = 0; b < hidden.size(); b++) {
            DeviceMatrix batch = hidden.get(b);
            ByteBuffer rows =
                    HalfFloats.fromFloats(bench.device().download(batch).values(), dtype);
            hidden.set(b, bench.device().upload(rows, dtype, batch.rows(), width, DType.F32));
            batch.close();
            batches.add(rows);
        }
        bench.output()
                .write(
                        bench.folder().activations(layer, part.index()),
                        out -> RowFile.write(out, dtype, width, batches));
        return hidden;
    }

    @Override
    public void close() {
        if (running != null) {
            running.close();
            running = null;
        }
        hidden.forEach(DeviceMatrix::close);
        hidden.clear();
    }
}
