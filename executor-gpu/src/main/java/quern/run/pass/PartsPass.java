package quern.run.pass;

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
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;
import quern.calibrate.RowFile;
import quern.device.DeviceMatrix;
import quern.device.DeviceOutOfMemory;
import quern.model.DecoderLayer;
import quern.model.LayerRun;
import quern.model.Linear;
import quern.model.Site;
import quern.model.Tap;
import quern.model.Weights;
import quern.plan.Plan;
import quern.run.workbench.Layers;
import quern.run.workbench.Pass;
import quern.run.workbench.Phase;
import quern.run.workbench.SideBySide;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * Parts on their way through the layers of a pass, side by side: each {@link #next} runs a stretch of a layer, one expert or all between
 * experts, over all of them and gives the statistics of tapped sites that are complete then. Hidden states stay on the device
 * between layers; a layer's weights are loaded once.
 *
 * <p>Batches are taken in order and a part's Hessian is summed in that order, then those of parts as {@link TreeSum} says, so the result
 * depends on the plan alone.
 */
final class PartsPass implements Iterator<List<PartsPass.OfSite>>, AutoCloseable {
    /** @param statistics of the tokens of all parts, on the device; whoever takes it closes it */
    record OfSite(int layer, int site, GrowingStatistics statistics) {}

    /** Files that are read or written at a time. */
    private static final int FILES = 4;

    private final Workbench bench;
    private final Pass pass;
    private final Parts parts;
    private final Stopwatch watch;
    private final boolean compares; // inputs with what they would be in full precision
    private final List<List<DeviceMatrix>> hidden =
            new ArrayList<>(); // of each part, each (batch sequences * length) x hidden size, F32
    private final List<List<DeviceMatrix>> full =
            new ArrayList<>(); // what these would be in full precision, where that is asked for
    private int layer;
    private boolean admitted;
    private @Nullable Running running;

    PartsPass(Workbench bench, Pass pass, Parts parts, Stopwatch watch) {
        this.bench = bench;
        this.pass = pass;
        this.parts = parts;
        this.watch = watch;
        this.layer = pass.from();
        compares = pass.compares(bench.plan());
        for (int lane = 0; lane < parts.parts().size(); lane++) {
            hidden.add(List.of());
            full.add(List.of());
        }
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
            if (running == null && layer == pass.from()) {
                admit();
                watch.time(Phase.LOAD, this::load);
            }
            if (running == null && pass.stored().contains(layer)) {
                watch.time(Phase.WRITE, this::store);
            }
            return advance();
        } catch (DeviceOutOfMemory e) {
            bench.layers().letGo();
            throw e;
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "Cannot run layer %d over part %d: %s"
                            .formatted(layer, parts.parts().get(0).index(), e.getMessage()),
                    e);
        }
    }

    private List<OfSite> advance() throws IOException {
        Running now = running == null ? new Running() : running;
        running = now;
        if (now.advance()) {
            return now.taps.expertsDone();
        }
        List<OfSite> rest = now.taps.layerDone();
        now.goOnInFull();
        now.close();
        running = null;
        layer++;
        return rest;
    }

    /** A layer that the parts are in. Weights of experts are read on the way. */
    private final class Running implements AutoCloseable {
        private final Taps taps = new Taps();
        private final Layers.Lent lent;
        private final Layers.@Nullable Lent inFull; // the layer in full precision, where inputs are compared with it
        private final LayerRun run;
        private long loading;

        Running() throws IOException {
            Weights weights = bench.layers().weights(pass);
            lent = watch.time(Phase.LOAD, () -> bench.layers().take(pass, layer));
            try {
                inFull = compares && (pass.goesOn(layer) || taps.drift())
                        ? watch.time(Phase.LOAD, () -> bench.layers().take(pass.inFullPrecision(), layer))
                        : null;
            } catch (IOException | RuntimeException e) { // no memory for both, for example
                lent.close();
                throw e;
            }
            List<LayerRun.Lane> lanes = new ArrayList<>();
            for (int lane = 0; lane < hidden.size(); lane++) {
                Tap tap = taps.of(parts.first() + lane, full.get(lane), inFull == null ? null : inFull.layer());
                lanes.add(new LayerRun.Lane(hidden.get(lane), tap));
            }
            run = start(lent.layer(), lanes, weights, pass.goesOn(layer) ? LayerRun.WHOLE : taps.last());
        }

        private LayerRun start(DecoderLayer layer, List<LayerRun.Lane> lanes, Weights experts, int rank) {
            return layer.start(
                    lanes, bench.plan().calibration().length(), (linear, device) -> timed(experts, linear), rank);
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

        /** Takes what would enter the layer in full precision through it. */
        void goOnInFull() throws IOException {
            if (inFull == null || !pass.goesOn(layer)) {
                return;
            }
            loading = 0;
            long start = System.nanoTime();
            List<LayerRun.Lane> lanes = full.stream()
                    .map(batches -> new LayerRun.Lane(batches, null))
                    .toList();
            Weights weights = bench.layers().weights(pass.inFullPrecision());
            try (LayerRun beside = start(inFull.layer(), lanes, weights, LayerRun.WHOLE)) {
                while (beside.advance()) {
                    // all of it
                }
            }
            watch.add(Phase.LOAD, loading);
            watch.add(Phase.CALIBRATE, System.nanoTime() - start - loading);
        }

        @Override
        public void close() {
            run.close();
            lent.close();
            if (inFull != null) {
                inFull.close();
            }
            taps.close();
        }
    }

    /** The statistics of the layer's tapped sites; those of an expert are let go when the next one's turn comes. */
    private final class Taps implements AutoCloseable {
        private final Map<String, Plan.SitePlan> sites = new HashMap<>(); // by name
        private final Map<Integer, Plan.SitePlan> pools = new LinkedHashMap<>(); // by rank
        private final Map<Plan.SitePlan, PartsStatistics> growing = new LinkedHashMap<>();
        private final Map<Plan.SitePlan, Map<Integer, GrowingStatistics>> pooled = new LinkedHashMap<>(); // by part
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

        /** The rank of the last sites that are waited for. */
        int last() {
            return cache == null && pass.tapRank() >= 0
                    ? pass.tapRank()
                    : bench.plan().ranks(layer).stream().max(Integer::compare).orElse(0);
        }

        /** Whether inputs are to be compared with those in full precision. */
        boolean drift() {
            return sites.values().stream().anyMatch(this::drifts);
        }

        private boolean drifts(Plan.SitePlan site) {
            return pass.gathering(bench.plan(), site).drifts();
        }

        /**
         * What sees the inputs of a part.
         *
         * @param full what would enter the layer in full precision, if inputs are compared with that
         * @param layer in full precision, likewise
         */
        Tap of(int part, List<DeviceMatrix> full, @Nullable DecoderLayer layer) {
            return new Tap() {
                private final Map<Plan.SitePlan, Integer> seen = new HashMap<>(); // batches

                @Override
                public void input(Site site, DeviceMatrix x, @Nullable DeviceMatrix stream) {
                    Plan.SitePlan tapped = sites.get(site.name());
                    if (tapped == null) {
                        return;
                    }
                    GrowingStatistics statistics =
                            growing.computeIfAbsent(tapped, s -> begun(s)).of(part);
                    long start = System.nanoTime();
                    statistics.add(x);
                    nanos += System.nanoTime() - start;
                    int batch = seen.merge(tapped, 1, Integer::sum) - 1;
                    if (layer != null && drifts(tapped)) {
                        upTo(site, layer, full.get(batch), (would, streamWould) -> {
                            statistics.addDrift(x, would);
                            if (stream != null && streamWould != null) {
                                statistics.addDrift(stream, streamWould, x);
                            }
                        });
                    }
                }

                @Override
                public void cached(int layer, DeviceMatrix k, DeviceMatrix v) {
                    Plan.SitePlan asked = cache;
                    if (asked != null) {
                        keys = keys == null ? fresh(k.cols(), asked) : keys;
                        values = values == null ? fresh(v.cols(), asked) : values;
                        keys.add(k);
                        values.add(v);
                    }
                }
            };
        }

        /** What a batch that enters a layer becomes at a site: its input, and what its output is added to. */
        private void upTo(
                Site wanted,
                DecoderLayer layer,
                DeviceMatrix batch,
                BiConsumer<DeviceMatrix, @Nullable DeviceMatrix> seen) {
            try {
                layer.upTo(wanted.rank(), batch, bench.plan().calibration().length(), (site, x, stream) -> {
                    if (site.name().equals(wanted.name())) {
                        long start = System.nanoTime();
                        seen.accept(x, stream);
                        nanos += System.nanoTime() - start;
                    }
                });
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private PartsStatistics begun(Plan.SitePlan site) {
            Plan.SitePlan pool = site.ofExpert() ? pools.get(site.rank()) : null;
            return new PartsStatistics(() -> fresh(site.inputs(), site), (part, own) -> {
                if (pool != null) {
                    pooled.computeIfAbsent(pool, p -> new TreeMap<>())
                            .computeIfAbsent(part, p -> fresh(pool.inputs(), pool))
                            .add(own);
                }
            });
        }

        private GrowingStatistics fresh(int inputs, Plan.SitePlan site) {
            return new GrowingStatistics(bench.device(), inputs, pass.gathering(bench.plan(), site));
        }

        /** Those of experts, which no further batch comes to. */
        List<OfSite> expertsDone() {
            return taken(
                    growing.keySet().stream().filter(Plan.SitePlan::ofExpert).toList());
        }

        List<OfSite> layerDone() {
            List<OfSite> statistics = taken(List.copyOf(growing.keySet()));
            pooled.forEach((pool, byPart) -> {
                PartsStatistics all = begun(pool);
                byPart.forEach(all::add);
                growing.put(pool, all);
            });
            pooled.clear();
            statistics.addAll(taken(List.copyOf(growing.keySet())));
            if (cache != null && keys != null && values != null) {
                statistics.add(new OfSite(layer, cache.index(), GrowingStatistics.ofCache(keys, values)));
                keys = null;
                values = null;
            }
            return statistics;
        }

        private List<OfSite> taken(List<Plan.SitePlan> done) {
            List<OfSite> statistics = new ArrayList<>();
            for (Plan.SitePlan site : done) {
                GrowingStatistics all =
                        Objects.requireNonNull(growing.remove(site)).take();
                if (all != null) {
                    statistics.add(new OfSite(layer, site.index(), all));
                }
            }
            return statistics;
        }

        @Override
        public void close() {
            growing.values().forEach(PartsStatistics::close);
            pooled.values().forEach(byPart -> byPart.values().forEach(GrowingStatistics::close));
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

    private boolean load() throws IOException {
        each((part, lane) -> {
            List<DeviceMatrix> entering = layer == 0 ? embed(part) : stored(part);
            int batches =
                    -Math.floorDiv(-part.count(), bench.plan().calibration().batch());
            hidden.set(lane, new ArrayList<>(entering.subList(0, batches)));
            List<DeviceMatrix> rest = new ArrayList<>(entering.subList(batches, entering.size()));
            full.set(lane, compares && rest.isEmpty() ? copies(hidden.get(lane)) : rest);
        });
        return true;
    }

    /** Where a stage begins both are the same. */
    private List<DeviceMatrix> copies(List<DeviceMatrix> batches) {
        List<DeviceMatrix> copies = new ArrayList<>();
        batches.forEach(batch -> copies.add(bench.device().forward().scale(batch, 1, DType.F32)));
        return copies;
    }

    private void admit() throws IOException {
        try {
            bench.passes().acquire();
            admitted = true;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        }
    }

    private List<DeviceMatrix> embed(Plan.Part part) throws IOException {
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

    private List<DeviceMatrix> stored(Plan.Part part) throws IOException {
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
    private boolean store() throws IOException {
        each((part, lane) -> store(part, List.of(hidden.get(lane), full.get(lane))));
        return true;
    }

    @FunctionalInterface
    private interface OfPart {
        void run(Plan.Part part, int lane) throws IOException;
    }

    /** Files of several parts side by side: one thread alone is slower than a GPU waits for. */
    private void each(OfPart work) throws IOException {
        if (hidden.size() == 1) {
            work.run(parts.parts().get(0), 0);
            return;
        }
        List<Callable<Boolean>> calls = new ArrayList<>();
        for (int lane = 0; lane < hidden.size(); lane++) {
            int of = lane;
            calls.add(() -> {
                work.run(parts.parts().get(of), of);
                return true;
            });
        }
        SideBySide.run(Math.min(FILES, calls.size()), calls);
    }

    private void store(Plan.Part part, List<List<DeviceMatrix>> streams) throws IOException {
        DType dtype = bench.plan().computeType();
        int width = streams.get(0).get(0).cols();
        List<ByteBuffer> batches = new ArrayList<>();
        for (List<DeviceMatrix> stream : streams) {
            for (int b = 0; b < stream.size(); b++) {
                DeviceMatrix batch = stream.get(b);
                ByteBuffer rows =
                        HalfFloats.fromFloats(bench.device().download(batch).values(), dtype);
                stream.set(b, bench.device().upload(rows, dtype, batch.rows(), width, DType.F32));
                batch.close();
                batches.add(rows);
            }
        }
        bench.output()
                .write(
                        bench.folder().activations(layer, part.index()),
                        out -> RowFile.write(out, dtype, width, batches));
    }

    @Override
    public void close() {
        if (running != null) {
            running.close();
            running = null;
        }
        for (List<List<DeviceMatrix>> streams : List.of(hidden, full)) {
            streams.forEach(ofPart -> ofPart.forEach(DeviceMatrix::close));
            streams.clear();
        }
        if (admitted) {
            admitted = false;
            bench.passes().release();
        }
    }
}
