package quern.run;

import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.format.FixedScale;
import quern.format.gguf.GgufFormat;
import quern.method.Hessian;
import quern.method.Method;
import quern.method.Shrinkage;
import quern.method.Statistics;
import quern.plan.Plan;
import quern.store.BlobStore;
import quern.store.Checkpoint;
import quern.store.SafetensorsWriter;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * What every runner does to one site and one shard (to a part: {@link PassTiles}). Each depends on the plan and on files that
 * the plan names, so a retry gives the same bytes.
 */
public final class Tasks {
    private static final int SLICE = 8 << 20;

    private Tasks() {}

    /**
     * What becomes of sites' statistics when they are complete, the same for each plan that has the sites.
     *
     * @param sites one, or some that {@link Batches} put together
     */
    public static List<SiteManifest> reduced(List<Workbench> benches, Pass pass, List<Gathered> sites, Stopwatch watch)
            throws IOException {
        List<SiteManifest> manifests = new ArrayList<>();
        for (Workbench bench : benches) {
            List<Gathered> ready = new ArrayList<>();
            for (Gathered gathered : sites) {
                Plan.SitePlan own = bench.site(gathered.site());
                if (own != null) {
                    SiteManifest waiting = waiting(bench, pass, own, gathered.statistics(), watch);
                    if (waiting == null) {
                        ready.add(new Gathered(own, gathered.statistics()));
                    } else {
                        manifests.add(waiting);
                    }
                }
            }
            manifests.addAll(solve(bench, ready, watch));
        }
        return manifests;
    }

    /**
     * Keeps the statistics of a site that is not quantized yet; null if it is to be. An expert that too few tokens reached waits: its
     * own are stored, and so are those of all experts together; {@link #solveUncovered} comes when both are there. A round of further
     * tokens only adds to what is stored. Where the pass is one to fit the transform, that is all that is done.
     */
    private static @Nullable SiteManifest waiting(
            Workbench bench, Pass pass, Plan.SitePlan site, Statistics statistics, Stopwatch watch) throws IOException {
        if (pass.fits()) {
            return Fitting.site(bench, site, statistics, watch);
        }
        if (pass.round() > 0) {
            Statistics sum = stored(bench, site, pass.round() - 1).plus(statistics);
            store(bench, site, pass.round(), sum, watch);
            return SiteManifest.waiting(bench.plan(), site, sum.tokens());
        }
        if (site.isPool() || (site.ofExpert() && Shrinkage.needed(statistics.tokens(), site.inputs()))) {
            store(bench, site, 0, statistics, watch);
            return SiteManifest.waiting(bench.plan(), site, statistics.tokens());
        }
        return null;
    }

    private static void store(Workbench bench, Plan.SitePlan site, int round, Statistics statistics, Stopwatch watch)
            throws IOException {
        String file = bench.folder().hessian(site.layer(), site.index(), round);
        watch.time(Phase.WRITE, () -> {
            StatisticsFile.write(bench.output(), file, site.inputs(), statistics);
            return file;
        });
    }

    /** The statistics after a round. */
    private static Statistics stored(Workbench bench, Plan.SitePlan site, int round) throws IOException {
        return StatisticsFile.read(bench.output(), bench.folder().hessian(site.layer(), site.index(), round));
    }

    /** The key of a site of an expert that few tokens reached, and the last round of further tokens that were drawn on for it. */
    record Uncovered(long site, int round) implements Serializable {}

    /**
     * Quantizes the linears of an expert that few tokens reached: with its own Hessian if further tokens made it sound, else with one
     * between its own and that of all experts.
     */
    static SiteManifest solveUncovered(Workbench bench, Uncovered uncovered, Stopwatch watch) throws IOException {
        Plan.SitePlan site = bench.site(uncovered.site());
        int round = uncovered.round();
        Statistics own = stored(bench, site, round);
        long further = round == 0 ? -1 : own.tokens() - stored(bench, site, 0).tokens();
        List<String> notes = new ArrayList<>();
        if (round > 0) {
            notes.add(further + " of the " + own.tokens()
                    + " tokens that calibrated it are of further text, drawn on for it");
        }
        if (!Shrinkage.needed(own.tokens(), site.inputs())) {
            return solve(bench, site, own, own.tokens(), further, notes, watch);
        }
        Plan.SitePlan pool = bench.plan().pools(site.layer(), site.layer() + 1).stream()
                .filter(p -> p.rank() == site.rank())
                .findFirst()
                .orElseThrow();
        Statistics all = stored(bench, pool, 0);
        if (all.tokens() == 0) { // no token reached any of them: the solver says so, and rounds to nearest
            return solve(bench, site, own, 0, further, notes, watch);
        }
        notes.add(Shrinkage.note(own));
        return solve(bench, site, Shrinkage.toward(all, own), own.tokens(), further, notes, watch);
    }

    /** Quantizes the linears of one site, packs them and writes the piece. */
    public static SiteManifest solve(Workbench bench, Plan.SitePlan site, Statistics statistics, Stopwatch watch)
            throws IOException {
        return solve(bench, site, statistics, statistics.tokens(), -1, List.of(), watch);
    }

    /** The same for sites that are alike, side by side. */
    private static List<SiteManifest> solve(Workbench bench, List<Gathered> sites, Stopwatch watch) throws IOException {
        if (sites.isEmpty()) {
            return List.of();
        }
        if (sites.size() == 1) {
            return List.of(solve(bench, sites.get(0).site(), sites.get(0).statistics(), watch));
        }
        bench.solvers().acquireUninterruptibly();
        try {
            return quantized(bench, sites, watch);
        } finally {
            bench.solvers().release();
        }
    }

    /** One linear of each site at a time. */
    private static List<SiteManifest> quantized(Workbench bench, List<Gathered> sites, Stopwatch watch)
            throws IOException {
        List<SitePiece> pieces = new ArrayList<>();
        List<@Nullable Hessian> hessians = new ArrayList<>();
        for (Gathered each : sites) {
            pieces.add(new SitePiece(bench, each.site(), each.statistics(), List.of()));
            hessians.add(each.statistics().hessian());
        }
        int linears = sites.get(0).site().linears().size();
        try (Method.Batch batch =
                watch.time(Phase.SOLVE, () -> bench.method().batch(bench.plan().recipe(), hessians, bench.device()))) {
            for (int l = 0; l < linears; l++) {
                List<Plan.LinearPlan> alike = new ArrayList<>();
                List<Matrix> weights = new ArrayList<>();
                for (Gathered each : sites) {
                    alike.add(each.site().linears().get(l));
                    weights.add(weight(bench, each.site(), alike.get(alike.size() - 1), watch));
                }
                List<String> names = alike.stream().map(Plan.LinearPlan::name).toList();
                List<Method.Outcome> outcomes = watch.time(
                        Phase.SOLVE,
                        () -> batch.quantize(names, weights, alike.get(0).scheme()));
                for (int i = 0; i < pieces.size(); i++) {
                    pieces.get(i).add(alike.get(i), outcomes.get(i), watch);
                }
            }
        }
        List<SiteManifest> manifests = new ArrayList<>();
        for (int i = 0; i < pieces.size(); i++) {
            manifests.add(pieces.get(i).write(sites.get(i).statistics().tokens(), -1, watch));
        }
        return manifests;
    }

    private static Matrix weight(Workbench bench, Plan.SitePlan site, Plan.LinearPlan linear, Stopwatch watch)
            throws IOException {
        return watch.time(Phase.LOAD, () -> bench.model().weight(bench.model().linear(site.layer(), linear.name())));
    }

    private static SiteManifest solve(
            Workbench bench,
            Plan.SitePlan site,
            Statistics statistics,
            long tokens,
            long further,
            List<String> notes,
            Stopwatch watch)
            throws IOException {
        if (site.isCache()) {
            return cache(bench, site, statistics, watch);
        }
        bench.solvers().acquireUninterruptibly();
        try {
            return quantized(bench, site, statistics, tokens, further, notes, watch);
        } finally {
            bench.solvers().release();
        }
    }

    private static SiteManifest quantized(
            Workbench bench,
            Plan.SitePlan site,
            Statistics statistics,
            long tokens,
            long further,
            List<String> notes,
            Stopwatch watch)
            throws IOException {
        SitePiece piece = new SitePiece(bench, site, statistics, notes);
        float largest = site.linears().stream().anyMatch(l -> l.scheme().isJoint())
                ? watch.time(Phase.LOAD, () -> largest(bench, site))
                : 0;
        try (Method.Solver solver = watch.time(
                Phase.SOLVE,
                () -> bench.method().solver(bench.plan().recipe(), statistics.hessian(), bench.device(), largest))) {
            for (Plan.LinearPlan linear : site.linears()) {
                Matrix weight = weight(bench, site, linear, watch);
                piece.add(
                        linear,
                        watch.time(Phase.SOLVE, () -> solver.quantize(linear.name(), weight, linear.scheme())),
                        watch);
            }
        }
        return piece.write(tokens, further, watch);
    }

    /** The scales of keys and values. */
    private static SiteManifest cache(Workbench bench, Plan.SitePlan site, Statistics statistics, Stopwatch watch)
            throws IOException {
        float[] largest = Objects.requireNonNull(statistics.largest());
        List<FixedScale> scales = bench.format().cacheScales(bench.model().weightType());
        SitePiece piece = new SitePiece(bench, site, statistics, List.of());
        for (int i = 0; i < scales.size(); i++) {
            piece.add(scales.get(i).spec(site.name()), scales.get(i).pack(largest[i], site.name()));
        }
        return piece.write(statistics.tokens(), -1, watch);
    }

    /** Of the weights that share an input: loaders join them, and want one divisor for all of their scales, or one scale. */
    private static float largest(Workbench bench, Plan.SitePlan site) throws IOException {
        float largest = 0;
        for (Plan.LinearPlan linear : site.linears()) {
            Matrix weight = bench.model().weight(bench.model().linear(site.layer(), linear.name()));
            largest = Math.max(largest, weight.largest());
        }
        return largest;
    }

    /** What one shard's task wrote. */
    public record ShardManifest(String file, long bytes, String sha256) implements Serializable {}

    /** Streams a final shard from the pieces and the tensors that stay as they are. */
    public static ShardManifest shard(
            Workbench bench, Plan.Shard shard, Map<String, String> pieceOfLinear, Stopwatch watch) throws IOException {
        Pieces pieces = new Pieces(bench, pieceOfLinear);
        String sha = watch.time(
                Phase.WRITE,
                () -> bench.format() instanceof GgufFormat gguf
                        ? digested(bench, shard.file(), out -> GgufShard.write(bench, gguf, shard, pieces::of, out))
                        : shard(bench, shard, pieces));
        return new ShardManifest(shard.file(), bench.output().length(shard.file()), sha);
    }

    private static String shard(Workbench bench, Plan.Shard shard, Pieces pieces) throws IOException {
        Map<String, List<Plan.Packed>> packed = new HashMap<>();
        shard.tensors().forEach(t -> packed.put(t.spec().name(), t.packed()));
        List<TensorSpec> specs =
                shard.tensors().stream().map(Plan.ShardTensor::spec).toList();
        return write(bench, shard.file(), specs, bench.metadata(), (spec, out) -> {
            List<Plan.Packed> parts = packed.getOrDefault(spec.name(), List.of());
            if (parts.isEmpty()) {
                copy(bench.model().tensors(), spec, out);
            }
            for (Plan.Packed part : parts) {
                TensorSource piece = pieces.of(part.linear());
                copy(piece, piece.spec(part.tensor()), out);
            }
        });
    }

    /** The pieces of a run, each opened once. */
    private record Pieces(Workbench bench, Map<String, String> pieceOfLinear, Map<String, TensorSource> opened) {
        Pieces(Workbench bench, Map<String, String> pieceOfLinear) {
            this(bench, pieceOfLinear, new HashMap<>());
        }

        TensorSource of(String linear) throws IOException {
            String piece = Objects.requireNonNull(pieceOfLinear.get(linear), linear);
            TensorSource source = opened.get(piece);
            if (source == null) {
                source = Checkpoint.file(bench.output(), piece);
                opened.put(piece, source);
            }
            return source;
        }
    }

    /** Copies a tensor in slices, so that memory does not grow with it. */
    static void copy(TensorSource source, TensorSpec spec, OutputStream out) throws IOException {
        for (long at = 0; at < spec.bytes(); at += SLICE) {
            SafetensorsWriter.copy(source.read(spec.name(), at, (int) Math.min(SLICE, spec.bytes() - at)), out);
        }
    }

    /** Writes a safetensors file; returns its checksum. */
    static String write(
            Workbench bench,
            String file,
            List<TensorSpec> specs,
            Map<String, String> metadata,
            SafetensorsWriter.TensorBytes bytes)
            throws IOException {
        return digested(bench, file, out -> SafetensorsWriter.write(out, specs, metadata, bytes));
    }

    private static String digested(Workbench bench, String file, BlobStore.Body body) throws IOException {
        MessageDigest digest = sha256();
        bench.output().write(file, out -> {
            digest.reset();
            body.writeTo(new DigestOutputStream(out, digest));
        });
        return HexFormat.of().formatHex(digest.digest());
    }

    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
