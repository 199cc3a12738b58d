package quern.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.device.ForwardKernels;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.SolveKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The kernels of the CUDA device at the shapes of Llama-3-8B, each beside the roof it is under. Arguments: a JSON file to write, and
 * {@code tiny} for shapes that a machine without a GPU can take.
 *
 * <p>Roofs are measured in the same run, not read off a data sheet: the bf16 and the fp32 product of cuBLAS on large squares (and for
 * a sum of products, on the same shape), a copy within device memory, a copy from the host. What a row says of work is the least
 * that has to be done: each operand read once, each result written once; operations of the algorithm, not of the launch. A row near
 * neither roof waits for something else.
 *
 * <p>A time is that of the public call, by the host's clock: calls follow each other until a few milliseconds are full, and then the
 * host waits; so it holds launches and small copies too, which is what a run pays. Median, least and most of repeats after two that do
 * not count. Not yet run on a GPU.
 */
final class GpuBench {
    private static final int SHORTEST_NANOS = 20_000_000;
    private static final long LONGEST_NANOS = 1_200_000_000L;
    private static final int REPEATS = 15;

    /** Columns of one product of a sum of products: {@code CudaForward.PANEL}. */
    private static final int PANEL = 2048;

    private static final int BLOCK = 128;

    private final Device device;
    private final ForwardKernels forward;
    private final SolveKernels solve;
    private final int shrink;
    private final DeviceMatrix flag; // 1 x 1, F32: reading it waits for all that was asked for
    private final List<Row> rows = new ArrayList<>();
    private double bf16; // operations a second
    private double fp32;
    private double memory; // bytes a second
    private double bus;
    private boolean failed;

    private GpuBench(Device device, int shrink) {
        this.device = device;
        this.shrink = shrink;
        forward = device.forward();
        solve = device.solve();
        flag = device.zeros(1, 1, DType.F32);
    }

    /**
     * What was measured of one call.
     *
     * @param seconds median, least, most
     * @param operations multiplications and additions
     * @param bytes of device memory
     * @param peak of the unit that does the operations, a second
     */
    private record Row(
            String name,
            double[] seconds,
            double operations,
            double bytes,
            double peak,
            double bandwidth,
            String note) {
        /** What cannot be gone under. */
        double floor() {
            return Math.max(operations / peak, bytes / bandwidth);
        }

        String roof() {
            return operations / peak >= bytes / bandwidth ? "operations" : "bytes";
        }
    }

    public static void main(String[] args) throws IOException {
        boolean tiny = args.length > 1 && args[1].equals("tiny");
        try (Device device = Devices.open("cuda")) {
            System.out.println(device.type());
            GpuBench bench = new GpuBench(device, tiny ? 32 : 1);
            bench.roofs();
            bench.products();
            bench.solves();
            bench.layerPieces();
            bench.write(Path.of(args[0]));
            System.exit(bench.failed ? 1 : 0);
        }
    }

    /** A size of the real shape, or a small one like it. */
    private int size(int real) {
        return Math.max(16, real / shrink);
    }

    private void roofs() {
        int n = size(8192);
        DeviceMatrix x = random(n, n, DType.BF16);
        DeviceMatrix w = forward.prepare(x);
        bf16 = 2.0
                * n
                * n
                * n
                / time(() -> forward.linear(x, w, null, DType.BF16).close())[0];
        w.close();
        x.close();
        DeviceMatrix a = random(size(4096), size(4096), DType.F32);
        double m = a.rows();
        fp32 = 2 * m * m * m / time(() -> solve.addProduct(1, a, a, 0, a.rows(), a))[0];
        a.close();
        DeviceMatrix large = random(size(16384), size(16384), DType.F32);
        double bytes = 4.0 * large.rows() * large.cols();
        memory = 2 * bytes / time(() -> forward.scale(large, 1, DType.F32).close())[0];
        large.close();
        ByteBuffer host =
                ByteBuffer.allocateDirect(2 * size(4096) * size(14336)).order(ByteOrder.LITTLE_ENDIAN);
        bus = host.capacity()
                / time(() -> device.upload(
                                host.duplicate().order(ByteOrder.LITTLE_ENDIAN),
                                DType.BF16,
                                size(4096),
                                size(14336),
                                DType.BF16)
                        .close())[0];
        System.out.printf(
                Locale.ROOT,
                "roofs, measured: bf16 %.0f TFLOP/s, fp32 %.1f TFLOP/s, memory %.0f GB/s (read and written), upload of a weight %.1f GB/s%n",
                bf16 / 1e12,
                fp32 / 1e12,
                memory / 1e9,
                bus / 1e9);
        System.out.printf(
                "%-46s %10s %10s %10s %9s %9s %7s  %s%n",
                "call", "median ms", "least", "most", "TFLOP/s", "GB/s", "of roof", "which");
    }

    private void products() {
        int tokens = size(8192);
        for (int[] shape : new int[][] {{4096, 4096}, {4096, 14336}, {14336, 4096}}) {
            int inputs = size(shape[0]);
            int outputs = size(shape[1]);
            DeviceMatrix x = random(tokens, inputs, DType.BF16);
            DeviceMatrix stored = random(outputs, inputs, DType.BF16);
            DeviceMatrix w = forward.prepare(stored);
            add(
                    "linear %d x %d -> %d".formatted(tokens, inputs, outputs),
                    () -> forward.linear(x, w, null, DType.BF16).close(),
                    2.0 * tokens * inputs * outputs,
                    2.0 * (tokens * (double) inputs + outputs * (double) inputs + tokens * (double) outputs),
                    bf16,
                    "");
            close(x, stored, w);
        }
        for (int real : new int[] {4096, 8192, 14336}) {
            gram(tokens, size(real));
        }
    }

    /** Beside one product of cuBLAS of the same shape, n x n over the tokens, which also computes the upper half. */
    private void gram(int tokens, int n) {
        DeviceMatrix left = random(n, tokens, DType.BF16);
        DeviceMatrix w = forward.prepare(left);
        double whole = time(() -> forward.linear(left, w, null, DType.F32).close())[0];
        close(left, w);
        double peak = 2.0 * n * n * tokens / whole;
        DeviceMatrix x = random(tokens, n, DType.BF16);
        DeviceMatrix gram = device.zeros(n, n, DType.F32);
        double executed = 0;
        for (int column = 0; column < n; column += PANEL) {
            executed += 2.0 * tokens * (n - column) * Math.min(PANEL, n - column);
        }
        add(
                "sum of products %d over %d tokens".formatted(n, tokens),
                () -> forward.addGram(x, gram),
                executed,
                2.0 * tokens * n + 4.0 * n * n,
                peak,
                "one product of this shape runs at %.0f TFLOP/s; panels compute %.0f %% of it"
                        .formatted(peak / 1e12, 50.0 * executed / ((double) n * n * tokens)));
        close(x, gram);
    }

    private void solves() {
        for (int real : new int[] {4096, 14336}) {
            int n = size(real);
            DeviceMatrix h = hessian(n);
            add(
                    "factor %d".formatted(n),
                    () -> time(() -> forward.scale(h, 1, DType.F32), this::factored),
                    (double) n * n * n / 3,
                    8.0 * n * n,
                    fp32,
                    "waits for the result");
            DeviceMatrix r = forward.scale(h, 1, DType.F32);
            factored(r);
            if (real == 4096) {
                add(
                        "diagonal of the inverse %d".formatted(n),
                        () -> check(solve.inverseDiagonal(r).length == n),
                        (double) n * n * n / 3,
                        8.0 * n * n,
                        fp32,
                        "waits for the result");
            }
            for (int outputs : real == 4096 ? new int[] {4096, 14336} : new int[] {4096}) {
                columns(size(outputs), n, r, h);
            }
            close(h, r);
        }
    }

    private void factored(DeviceMatrix h) {
        check(solve.factor(h));
    }

    /** Of a block of columns in the middle of a weight; codes of four bits, a group for each block. */
    private void columns(int outputs, int n, DeviceMatrix r, DeviceMatrix h) {
        int block = Math.min(BLOCK, n / 4);
        int groups = n / block;
        DeviceMatrix w = random(outputs, n, DType.F32);
        DeviceMatrix working = forward.scale(w, 1, DType.F32);
        DeviceMatrix codes = device.zeros(outputs, n, DType.U8);
        Grids grids = grids(outputs, groups);
        int[] first = new int[block];
        int[] last = new int[block];
        Arrays.fill(last, groups - 1);
        int from = groups / 2 * block;
        int to = from + block;
        double cells = (double) outputs * block;
        String of = " of %d columns, %d x %d".formatted(block, outputs, n);
        add(
                "sweep" + of,
                () -> solve.sweep(w, working, r, n - block, n, grids, new int[][] {last}, codes),
                cells * block,
                cells * (4 + 4 + 4 + 1) + 4.0 * block * block,
                fp32,
                "each column waits for the one before");
        add(
                "relax" + of,
                () -> solve.relax(w, working, r, from, to).close(),
                cells * block,
                cells * (4 + 4 + 4),
                fp32,
                "");
        int behind = n - block;
        add(
                "sweep and product for the %d columns behind, %d x %d".formatted(behind, outputs, n),
                () -> solve.sweep(w, working, r, 0, block, grids, new int[][] {first}, codes),
                cells * block + 2 * cells * behind,
                8.0 * outputs * behind + cells * (4 + 4 + 4 + 1) + 4.0 * block * n,
                fp32,
                "");
        float[] factors = new float[48];
        for (int i = 0; i < factors.length; i++) {
            factors[i] = 1.1f - 0.015f * i;
        }
        DeviceMatrix importance = device.upload(filled(1, n, 1), DType.F32);
        int[] all = IntStream.range(0, groups).toArray();
        for (Measure measure : Measure.values()) {
            GridSearch search =
                    new GridSearch(grids.values(), true, 7.5f, 8, 8, 8, GpuCheck.half(), measure, factors, 1);
            add(
                    "search of %d scales by %s, %d x %d".formatted(factors.length, measure, outputs, n),
                    () -> solve.search(
                            w,
                            measure == Measure.SQUARES ? importance : null,
                            search,
                            0,
                            block,
                            new int[][] {all},
                            grids),
                    6.0 * factors.length * outputs * n,
                    4.0 * outputs * n,
                    fp32,
                    "6 operations for each weight and scale; divisions and powers cost more");
        }
        add(
                "descent" + of,
                () -> solve.descend(w, h, from, to, grids, groups / 2, codes, GpuCheck.half())
                        .close(),
                2 * cells * block,
                cells * (4 + 1 + 1 + 4) + 4.0 * block * block,
                fp32,
                "each column waits for the one before");
        close(w, working, codes, importance);
        grids.close();
    }

    private void layerPieces() {
        int length = size(2048);
        int sequences = shrink == 1 ? 4 : 1;
        int tokens = sequences * length;
        int heads = shrink == 1 ? 32 : 2;
        int kvHeads = shrink == 1 ? 8 : 1;
        int headDim = shrink == 1 ? 128 : 32;
        int hidden = heads * headDim;
        int inner = size(14336);
        DeviceMatrix q = random(tokens, hidden, DType.BF16);
        DeviceMatrix k = random(tokens, kvHeads * headDim, DType.BF16);
        AttentionShape shape = new AttentionShape(length, heads, kvHeads, headDim, headDim, 0.088f, 0);
        add(
                "attention %d x %d, %d/%d heads of %d".formatted(sequences, length, heads, kvHeads, headDim),
                () -> forward.attention(q, k, k, shape, DType.BF16).close(),
                2.0 * sequences * heads * length * (length + 1) * headDim,
                4.0 * tokens * (hidden + kvHeads * headDim),
                bf16,
                "the half under the diagonal is counted");
        DeviceMatrix x = random(tokens, hidden, DType.F32);
        DeviceMatrix weight = random(1, hidden, DType.F32);
        DeviceMatrix table = random(length, headDim / 2, DType.F32);
        DeviceMatrix gate = random(tokens, inner, DType.BF16);
        double cells = (double) tokens * hidden;
        add(
                "RMS norm %d x %d".formatted(tokens, hidden),
                () -> forward.rmsNorm(x, weight, hidden, 1e-5f, 0, DType.BF16).close(),
                0,
                6 * cells,
                fp32,
                "");
        add(
                "rotary %d x %d".formatted(tokens, hidden),
                () -> forward.rotary(q, table, table, headDim, false, DType.BF16)
                        .close(),
                0,
                4 * cells,
                fp32,
                "");
        add(
                "SiLU times up %d x %d".formatted(tokens, inner),
                () -> forward.activate(Activation.SILU, gate, gate, DType.BF16).close(),
                0,
                6.0 * tokens * inner,
                fp32,
                "up is the gate itself here, and may come out of the cache");
        add("add %d x %d".formatted(tokens, hidden), () -> forward.add(x, x).close(), 0, 12 * cells, fp32, "");
        close(q, k, x, weight, table, gate);
    }

    private void add(String name, Runnable call, double operations, double bytes, double peak, String note) {
        add(name, () -> time(call), operations, bytes, peak, note);
    }

    /** What one call cannot do keeps no other from being measured. */
    private void add(
            String name, Supplier<double[]> seconds, double operations, double bytes, double peak, String note) {
        try {
            add(new Row(name, seconds.get(), operations, bytes, peak, memory, note));
        } catch (RuntimeException e) {
            failed = true;
            System.out.println(name + " FAILED: " + e);
        }
    }

    /** Of a call that spoils its operand: the time of the call alone. */
    private double[] time(Supplier<DeviceMatrix> operand, Consumer<DeviceMatrix> call) {
        List<Double> seconds = new ArrayList<>();
        long end = System.nanoTime() + LONGEST_NANOS;
        for (int i = 0; i < 5 || (i < 2 + REPEATS && System.nanoTime() < end); i++) {
            try (DeviceMatrix fresh = operand.get()) {
                settle();
                long start = System.nanoTime();
                call.accept(fresh);
                settle();
                if (i >= 2) {
                    seconds.add((System.nanoTime() - start) / 1e9);
                }
            }
        }
        return summary(seconds);
    }

    private void add(Row row) {
        rows.add(row);
        double median = row.seconds()[0];
        System.out.printf(
                Locale.ROOT,
                "%-46s %10.3f %10.3f %10.3f %9.2f %9.0f %6.0f%%  %s%s%n",
                row.name(),
                median * 1e3,
                row.seconds()[1] * 1e3,
                row.seconds()[2] * 1e3,
                row.operations() / median / 1e12,
                row.bytes() / median / 1e9,
                100 * row.floor() / median,
                row.roof(),
                row.note().isEmpty() ? "" : " (" + row.note() + ")");
    }

    /** Seconds of a call: median, least, most. */
    private double[] time(Runnable call) {
        call.run();
        settle();
        long start = System.nanoTime();
        call.run();
        settle();
        long once = Math.max(1, System.nanoTime() - start);
        int calls = (int) Math.max(1, Math.min(1000, SHORTEST_NANOS / once));
        List<Double> seconds = new ArrayList<>();
        long end = System.nanoTime() + LONGEST_NANOS;
        for (int i = 0; i < 3 || (i < REPEATS && System.nanoTime() < end); i++) {
            start = System.nanoTime();
            for (int c = 0; c < calls; c++) {
                call.run();
            }
            settle();
            seconds.add((System.nanoTime() - start) / 1e9 / calls);
        }
        return summary(seconds);
    }

    private static double[] summary(List<Double> seconds) {
        double[] sorted = seconds.stream().mapToDouble(d -> d).sorted().toArray();
        return new double[] {sorted[sorted.length / 2], sorted[0], sorted[sorted.length - 1]};
    }

    private void settle() {
        device.download(flag);
    }

    private static void check(boolean holds) {
        if (!holds) {
            throw new IllegalStateException("A call did not give what it has to");
        }
    }

    private static void close(DeviceMatrix... matrices) {
        for (DeviceMatrix matrix : matrices) {
            matrix.close();
        }
    }

    /** Uniform in [-1, 1): zeros would be faster than what is real. */
    private DeviceMatrix random(int rows, int cols, DType type) {
        int step = Math.max(1, (int) Math.min(rows, (1L << 24) / cols)); // rows that are drawn; the others repeat them
        Matrix some = Matrix.zeros(step, cols);
        SplittableRandom random = new SplittableRandom(rows * 31L + cols);
        for (int i = 0; i < some.values().length; i++) {
            some.values()[i] = (float) random.nextDouble(-1, 1);
        }
        DeviceMatrix drawn = device.upload(some, type);
        if (step == rows) {
            return drawn;
        }
        int[] index = IntStream.range(0, rows).map(i -> i % step).toArray();
        DeviceMatrix all = forward.rows(drawn, index);
        drawn.close();
        return all;
    }

    private static Matrix filled(int rows, int cols, float value) {
        Matrix m = Matrix.zeros(rows, cols);
        Arrays.fill(m.values(), value);
        return m;
    }

    private Grids grids(int outputs, int groups) {
        return new Grids(
                new CodeValues(null, 0, 15),
                device.upload(filled(outputs, groups, 0.14f), DType.F32),
                device.upload(filled(outputs, groups, 8), DType.F32),
                null);
    }

    /** Damped, of more random rows than it has columns. */
    private DeviceMatrix hessian(int n) {
        DeviceMatrix x = random(2 * n, n, DType.BF16);
        DeviceMatrix gram = device.zeros(n, n, DType.F32);
        forward.addGram(x, gram);
        int[] order = IntStream.range(0, n).toArray();
        float[] diagonal = new float[n];
        Arrays.fill(diagonal, 0.4f); // a third, the mean square, and damping
        DeviceMatrix h = solve.hessian(gram, 2L * n, order, diagonal);
        close(x, gram);
        return h;
    }

    private void write(Path file) throws IOException {
        ObjectMapper json = new ObjectMapper();
        ObjectNode all = json.createObjectNode();
        all.put("device", device.type());
        ObjectNode roofs = all.putObject("roofs");
        roofs.put("bf16FlopPerSecond", bf16);
        roofs.put("fp32FlopPerSecond", fp32);
        roofs.put("memoryBytesPerSecond", memory);
        roofs.put("uploadBytesPerSecond", bus);
        ArrayNode list = all.putArray("rows");
        for (Row row : rows) {
            ObjectNode one = list.addObject();
            one.put("call", row.name());
            one.put("medianSeconds", row.seconds()[0]);
            one.put("leastSeconds", row.seconds()[1]);
            one.put("mostSeconds", row.seconds()[2]);
            one.put("operations", row.operations());
            one.put("bytes", row.bytes());
            one.put("peakFlopPerSecond", row.peak());
            one.put("floorSeconds", row.floor());
            one.put("roof", row.roof());
            one.put("note", row.note());
        }
        json.writerWithDefaultPrettyPrinter().writeValue(file.toFile(), all);
    }
}
