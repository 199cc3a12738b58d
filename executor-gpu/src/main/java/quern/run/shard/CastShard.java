package quern.run.shard;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import quern.format.Format;
import quern.method.Method;
import quern.model.Linear;
import quern.model.Model;
import quern.plan.Panels;
import quern.plan.Plan;
import quern.run.workbench.Phase;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.QuantizedLinear;
import quern.store.SafetensorsWriter;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/**
 * One final file, straight from the source: its tensors are read in ranges, weights quantized and packed a panel of rows at a time,
 * and written as they come. Nothing is read or written twice, but for weights whose scales have a divisor.
 */
public final class CastShard {
    private static final int SLICE = 1 << 20; // of what is copied

    private final Workbench bench;
    private final Plan.Shard shard;
    private final Stopwatch watch;
    private final Format format;
    private final Map<String, Plan.SitePlan> siteOfLinear = new HashMap<>();
    private final Map<String, Plan.LinearPlan> linears = new HashMap<>();
    private final Map<Plan.SitePlan, Float> largestOfSite = new ConcurrentHashMap<>();
    private final ThreadLocal<ByteBuffer> scratch = ThreadLocal.withInitial(() -> buffer(SLICE));
    private final ThreadLocal<float[]> values = ThreadLocal.withInitial(() -> new float[0]);

    public CastShard(Workbench bench, Plan.Shard shard, Stopwatch watch) {
        this.bench = bench;
        this.shard = shard;
        this.watch = watch;
        format = bench.format();
        for (Plan.SitePlan site : bench.plan().sites()) {
            for (Plan.LinearPlan linear : site.linears()) {
                siteOfLinear.put(linear.name(), site);
                linears.put(linear.name(), linear);
            }
        }
    }

    /**
     * Rows of a linear, or a slice of what is copied.
     *
     * @param buffers one for each tensor of the linear
     */
    private record Piece(List<ByteBuffer> buffers, Method.@Nullable Outcome outcome) {}

    /** @param threads that quantize; 1 for the caller's own */
    public CastManifest write(int threads) throws IOException {
        MessageDigest digest = ShardTasks.sha256();
        List<CastManifest.CastLinear> written = new ArrayList<>();
        List<TensorSpec> specs =
                shard.tensors().stream().map(Plan.ShardTensor::spec).toList();
        bench.output().write(shard.file(), out -> {
            digest.reset();
            written.clear();
            try (Ahead<Piece> pieces = new Ahead<>(pieces().iterator(), threads)) {
                Tensors tensors = new Tensors(pieces, written);
                SafetensorsWriter.write(new DigestOutputStream(out, digest), specs, bench.metadata(), tensors::write);
            }
        });
        String sha = HexFormat.of().formatHex(digest.digest());
        return new CastManifest(
                new ShardTasks.ShardManifest(shard.file(), bench.output().length(shard.file()), sha), written);
    }

    /** All that is read, in the order of the file. */
    private List<Callable<Piece>> pieces() {
        List<Callable<Piece>> pieces = new ArrayList<>();
        String last = "";
        for (Plan.ShardTensor tensor : shard.tensors()) {
            if (tensor.linear().isEmpty()) {
                TensorSpec spec = tensor.spec();
                for (long at = 0; at < spec.bytes(); at += SLICE) {
                    long from = at;
                    pieces.add(() -> copied(spec, from));
                }
            } else if (!tensor.linear().equals(last)) {
                Plan.LinearPlan linear = Objects.requireNonNull(linears.get(tensor.linear()));
                int panel = rows(linear);
                for (int row = 0; row < linear.outputs(); row += panel) {
                    int from = row;
                    pieces.add(() -> quantized(linear, from, Math.min(panel, linear.outputs() - from)));
                }
            }
            last = tensor.linear();
        }
        return pieces;
    }

    private int rows(Plan.LinearPlan linear) {
        return stored(linear).transposed() ? linear.outputs() : Panels.rows(bench.method(), format, linear);
    }

    private Linear stored(Plan.LinearPlan linear) {
        return bench.model().linear(site(linear).layer(), linear.name());
    }

    private Plan.SitePlan site(Plan.LinearPlan linear) {
        return Objects.requireNonNull(siteOfLinear.get(linear.name()));
    }

    private Piece copied(TensorSpec spec, long from) throws IOException {
        return watch.time(Phase.LOAD, () -> {
            byte[] bytes = new byte[(int) Math.min(SLICE, spec.bytes() - from)];
            ByteBuffer read = scratch(bytes.length);
            bench.model().tensors().read(spec.name(), from, read);
            read.flip().get(bytes);
            return new Piece(List.of(ByteBuffer.wrap(bytes)), null);
        });
    }

    private Piece quantized(Plan.LinearPlan linear, int from, int rows) throws IOException {
        float largest = linear.scheme().dividesScales() ? largest(site(linear)) : 0;
        Matrix weight = watch.time(Phase.LOAD, () -> weight(linear, from, rows));
        Method.Outcome outcome = watch.time(Phase.SOLVE, () -> {
            try (Method.Solver solver = bench.method().solver(bench.plan().recipe(), null, bench.device(), largest)) {
                return solver.quantize(linear.name(), weight, linear.scheme());
            }
        });
        List<ByteBuffer> packed = watch.time(Phase.PACK, () -> format.pack(outcome.quantized(), linear.outputs()));
        return new Piece(packed, outcome);
    }

    private Matrix weight(Plan.LinearPlan linear, int from, int rows) throws IOException {
        Linear stored = stored(linear);
        Model model = bench.model();
        if (stored.transposed()) {
            return model.weight(stored);
        }
        // Of one size but for the last of a linear: memory that is new costs more than what is done in it.
        int size = Math.multiplyExact(rows, linear.inputs());
        if (values.get().length != size) {
            values.set(new float[size]);
        }
        ByteBuffer read = scratch(Math.toIntExact(rows * model.rowBytes(stored)));
        return model.weight(stored, from, rows, read, values.get());
    }

    /** Of the weights that share an input: loaders join them, and want one divisor for all of their scales. */
    private float largest(Plan.SitePlan site) throws IOException {
        Float known = largestOfSite.get(site);
        if (known != null) {
            return known;
        }
        float largest = 0;
        for (Plan.LinearPlan linear : site.linears()) {
            int panel = rows(linear);
            for (int row = 0; row < linear.outputs(); row += panel) {
                int from = row;
                int rows = Math.min(panel, linear.outputs() - row);
                largest = Math.max(
                        largest,
                        watch.time(Phase.LOAD, () -> weight(linear, from, rows).largest()));
            }
        }
        largestOfSite.put(site, largest);
        return largest;
    }

    /** A buffer of this thread with room for so many bytes. */
    private ByteBuffer scratch(int bytes) {
        if (scratch.get().capacity() < bytes) {
            scratch.set(buffer(bytes));
        }
        return scratch.get().clear().limit(bytes);
    }

    private static ByteBuffer buffer(int bytes) {
        return ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Takes pieces as the file wants them. */
    private final class Tensors {
        private final Ahead<Piece> pieces;
        private final List<CastManifest.CastLinear> written;
        private final Map<String, Plan.ShardTensor> byName = new HashMap<>();
        private @Nullable JoinedTensors open;
        private String linear = "";
        private int index; // among the tensors of the linear

        Tensors(Ahead<Piece> pieces, List<CastManifest.CastLinear> written) {
            this.pieces = pieces;
            this.written = written;
            shard.tensors().forEach(t -> byName.put(t.spec().name(), t));
        }

        void write(TensorSpec spec, OutputStream out) throws IOException {
            String name = Objects.requireNonNull(byName.get(spec.name())).linear();
            if (name.isEmpty()) {
                for (long at = 0; at < spec.bytes(); at += SLICE) {
                    copy(pieces.next().buffers().get(0), out);
                }
                return;
            }
            JoinedTensors joined = open;
            if (joined == null || !name.equals(linear)) {
                linear = name;
                index = 0;
                joined = joined(Objects.requireNonNull(linears.get(name)), out);
                open = joined;
            }
            JoinedTensors from = joined;
            int at = index++;
            watch.time(Phase.WRITE, () -> {
                from.writeTo(at, out);
                return at;
            });
        }

        private void copy(ByteBuffer bytes, OutputStream out) throws IOException {
            watch.time(Phase.WRITE, () -> {
                SafetensorsWriter.copy(bytes, out);
                return bytes;
            });
        }

        private JoinedTensors joined(Plan.LinearPlan linear, OutputStream out) throws IOException {
            List<TensorSpec> layout = format.layout(linear.name(), linear.outputs(), linear.inputs(), linear.scheme());
            JoinedTensors joined = new JoinedTensors(linear, layout, format.joints(linear.scheme()));
            CodesDigest digest = new CodesDigest();
            List<String> notes = new ArrayList<>();
            double loss = 0;
            double plain = 0;
            double norm = 0;
            for (int row = 0; row < linear.outputs(); ) {
                Piece piece = pieces.next();
                Method.Outcome outcome = Objects.requireNonNull(piece.outcome());
                QuantizedLinear rows = outcome.quantized();
                watch.time(Phase.WRITE, () -> {
                    joined.add(rows.outputs(), piece.buffers(), out);
                    return rows;
                });
                digest.add(rows);
                loss += outcome.losses().loss();
                plain += outcome.losses().roundToNearest();
                norm += outcome.losses().weightNorm();
                outcome.notes().stream().filter(n -> !notes.contains(n)).forEach(notes::add);
                row += rows.outputs();
            }
            written.add(new CastManifest.CastLinear(linear.name(), loss, plain, norm, digest.value(), notes));
            return joined;
        }
    }
}
