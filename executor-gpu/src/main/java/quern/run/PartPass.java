package quern.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import quern.calibrate.RowFile;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.model.DecoderLayer;
import quern.model.Site;
import quern.model.Tap;
import quern.model.Weights;
import quern.plan.Plan;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * One part on its way through the layers of a pass: each {@link #next} runs one layer over the whole part and gives the
 * Hessians of its tapped sites. The part's hidden states stay on the device between layers; a layer's weights are loaded
 * once for the part.
 *
 * <p>Batches are taken in order and each Hessian is summed in that order, so the result depends on the plan alone.
 */
final class PartPass implements Iterator<List<PartPass.PartHessian>>, AutoCloseable {
    /**
     * @param gram n x n, lower triangle
     */
    record PartHessian(int layer, int site, Matrix gram, long tokens) {}

    private final Workbench bench;
    private final Pass pass;
    private final Plan.Part part;
    private final Stopwatch watch;
    private final List<DeviceMatrix> hidden; // each (batch sequences * length) x hidden size, F32
    private int layer;

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
    public List<PartHessian> next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        try {
            if (pass.stored().contains(layer)) {
                watch.time(Phase.WRITE, this::store);
            }
            return run();
        } catch (IOException e) {
            throw new UncheckedIOException(
                    "Cannot run layer %d over part %d: %s".formatted(layer, part.index(), e.getMessage()), e);
        }
    }

    private List<PartHessian> run() throws IOException {
        Device device = bench.device();
        Weights weights = new QuantizedWeights(bench, pass.quantized(), Weights.stored(bench.model()));
        int length = bench.plan().calibration().length();
        try (DecoderLayer decoder =
                        watch.time(Phase.LOAD, () -> DecoderLayer.load(bench.model(), layer, weights, device));
                Taps taps = new Taps()) {
            long start = System.nanoTime();
            for (int b = 0; b < hidden.size(); b++) {
                DeviceMatrix before = hidden.get(b);
                hidden.set(b, decoder.forward(before, length, taps));
                before.close();
            }
            watch.add(Phase.HESSIAN, taps.nanos);
            watch.add(Phase.CALIBRATE, System.nanoTime() - start - taps.nanos);
            List<PartHessian> result = taps.hessians();
            layer++;
            return result;
        }
    }

    /** The Hessians of the layer's tapped sites, growing batch by batch. */
    private final class Taps implements Tap, AutoCloseable {
        private final Map<Plan.SitePlan, DeviceMatrix> grams = new LinkedHashMap<>(); // inputs x inputs, F32
        private long nanos;

        Taps() {
            for (Plan.SitePlan site : bench.plan().sites(layer, layer + 1)) {
                if (pass.taps(layer, site.index())) {
                    grams.put(site, bench.device().zeros(site.inputs(), site.inputs(), DType.F32));
                }
            }
        }

        @Override
        public void input(Site site, DeviceMatrix x) {
            long start = System.nanoTime();
            grams.forEach((tapped, gram) -> {
                if (tapped.name().equals(site.name())) {
                    bench.device().forward().addGram(x, gram);
                }
            });
            nanos += System.nanoTime() - start;
        }

        List<PartHessian> hessians() {
            long tokens = (long) part.count() * bench.plan().calibration().length();
            List<PartHessian> hessians = new ArrayList<>();
            grams.forEach((site, gram) -> hessians.add(
                    new PartHessian(layer, site.index(), bench.device().download(gram), tokens)));
            return hessians;
        }

        @Override
        public void close() {
            grams.values().forEach(DeviceMatrix::close);
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
        hidden.forEach(DeviceMatrix::close);
        hidden.clear();
    }
}
