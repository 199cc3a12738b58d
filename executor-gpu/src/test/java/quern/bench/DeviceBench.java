package quern.bench;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.IntStream;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.StoredScale;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Speed of a device's kernels, by 1 and 2 concurrent tasks: arguments are the device's name and its compute type. */
final class DeviceBench {
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();

    private final Device device;
    private final DType compute;

    private DeviceBench(Device device) {
        this.device = device;
        compute = device.computeType();
    }

    public static void main(String[] args) throws Exception {
        String name = args.length > 0 ? args[0] : "cpu";
        DType type = args.length > 1 ? DType.valueOf(args[1]) : null;
        String only = args.length > 2 ? args[2] : "";
        try (Device device = Devices.open(name, type)) {
            System.out.println(device.type());
            new DeviceBench(device).all(only);
        }
    }

    private void all(String only) throws Exception {
        run(only, "linear 2048x576->1536", 2.0 * 2048 * 576 * 1536, () -> linear(2048, 576, 1536));
        run(only, "linear 4096x2048->5632", 2.0 * 4096 * 2048 * 5632, () -> linear(4096, 2048, 5632));
        run(only, "linear 2048 cubed", 2.0 * 2048 * 2048 * 2048, () -> linear(2048, 2048, 2048));
        run(only, "gram 4096x1536", 4096.0 * 1536 * 1536, () -> gram(4096, 1536));
        run(only, "gram 8192x2048", 8192.0 * 2048 * 2048, () -> gram(8192, 2048));
        run(only, "attention 4x512, 9/3 heads of 64", 4 * 9 * 2.0 * 512 * 512 * 64, () -> attention(512, 4, 9, 3, 64));
        run(only, "attention 2048, 32/8 heads of 64", 32 * 2.0 * 2048 * 2048 * 64, () -> attention(2048, 1, 32, 8, 64));
        run(only, "rms norm 2048x576", 0, () -> norm(2048, 576));
        run(only, "rotary 2048x9x64", 0, () -> rotary(2048, 9, 64));
        run(only, "silu times up 2048x1536", 0, () -> activate(2048, 1536));
        run(only, "add 2048x576", 0, () -> add(2048, 576));
        run(only, "upload+prepare 1536x576", 0, () -> prepare(1536, 576));
        run(only, "factor 2048", 2048.0 * 2048 * 2048 / 3, () -> factor(2048));
        run(only, "inverse diagonal 2048", 2048.0 * 2048 * 2048 / 3, () -> inverseDiagonal(2048));
        run(only, "sweep of 128 columns, 4096 rows", 4096.0 * 128 * 128, () -> sweep(4096, 128, 128));
        run(only, "search, groups of 64, 1024x2048", 0, () -> search(1024, 2048));
        run(only, "descent of 64 columns, 4096 rows", 2 * 4096.0 * 64 * 64, () -> descend(4096, 2048));
        run(
                only,
                "sweep of 128 of 2048 columns, 4096 rows",
                4096.0 * 128 * (128 + 2 * 1920),
                () -> sweep(4096, 2048, 128));
    }

    /** Makes the data of one task and says what is repeated. */
    private interface Task {
        Runnable prepare();
    }

    private void run(String only, String what, double flops, Task task) throws Exception {
        if (!what.contains(only)) {
            return;
        }
        StringBuilder line = new StringBuilder(String.format(Locale.ROOT, "%-36s", what));
        for (int threads = 1; threads <= 2; threads++) {
            double seconds = seconds(task, threads);
            line.append(
                    flops == 0
                            ? String.format(Locale.ROOT, "  %d: %8.3f ms each", threads, seconds * 1e3)
                            : String.format(
                                    Locale.ROOT,
                                    "  %d: %8.3f ms each, %7.1f GFLOP/s",
                                    threads,
                                    seconds * 1e3,
                                    threads * flops / seconds / 1e9));
        }
        System.out.println(line);
    }

    /** The best processor time of one repetition while all threads repeat it: other programs' time is not counted. */
    private static double seconds(Task task, int threads) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        try {
            List<Callable<Double>> calls = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                Runnable repeated = task.prepare();
                calls.add(() -> best(repeated));
            }
            double sum = 0;
            for (Future<Double> future : pool.invokeAll(calls)) {
                sum += future.get();
            }
            return sum / threads;
        } finally {
            pool.shutdown();
        }
    }

    private static double best(Runnable repeated) {
        long end = System.nanoTime() + 1_500_000_000L;
        double best = Double.MAX_VALUE;
        while (System.nanoTime() < end) {
            long start = CLOCK.getCurrentThreadCpuTime();
            repeated.run();
            best = Math.min(best, (CLOCK.getCurrentThreadCpuTime() - start) / 1e9);
        }
        return best;
    }

    private DeviceMatrix random(int rows, int cols, DType type) {
        Random random = new Random(1);
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = random.nextFloat() - 0.5f;
        }
        return device.upload(m, type);
    }

    /** Operands stay until the process ends. */
    private static Runnable closing(Function<Void, DeviceMatrix> kernel) {
        return () -> {
            try (DeviceMatrix result = kernel.apply(null)) {
                if (result.rows() < 0) {
                    throw new AssertionError();
                }
            }
        };
    }

    private Runnable linear(int tokens, int inputs, int outputs) {
        DeviceMatrix x = random(tokens, inputs, compute);
        DeviceMatrix w = device.forward().prepare(random(outputs, inputs, compute));
        return closing(v -> device.forward().linear(x, w, null, compute));
    }

    private Runnable gram(int tokens, int inputs) {
        DeviceMatrix x = random(tokens, inputs, compute);
        DeviceMatrix gram = device.zeros(inputs, inputs, DType.F32);
        return () -> device.forward().addGram(x, gram);
    }

    private Runnable attention(int length, int sequences, int heads, int kvHeads, int headDim) {
        DeviceMatrix q = random(length * sequences, heads * headDim, compute);
        DeviceMatrix k = random(length * sequences, kvHeads * headDim, compute);
        AttentionShape shape = new AttentionShape(length, heads, kvHeads, headDim, headDim, 0.125f, 0);
        return closing(v -> device.forward().attention(q, k, k, shape, compute));
    }

    private Runnable norm(int tokens, int width) {
        DeviceMatrix x = random(tokens, width, DType.F32);
        DeviceMatrix w = random(1, width, DType.F32);
        return closing(v -> device.forward().rmsNorm(x, w, width, 1e-5f, 0, compute));
    }

    private Runnable rotary(int tokens, int heads, int headDim) {
        DeviceMatrix x = random(tokens, heads * headDim, compute);
        DeviceMatrix table = random(512, headDim / 2, DType.F32);
        return closing(v -> device.forward().rotary(x, table, table, headDim, false, compute));
    }

    private Runnable activate(int tokens, int width) {
        DeviceMatrix x = random(tokens, width, compute);
        return closing(v -> device.forward().activate(Activation.SILU, x, x, compute));
    }

    private Runnable add(int tokens, int width) {
        DeviceMatrix x = random(tokens, width, DType.F32);
        return closing(v -> device.forward().add(x, x));
    }

    private Runnable prepare(int outputs, int inputs) {
        Matrix w = device.download(random(outputs, inputs, DType.F32));
        return closing(v -> {
            try (DeviceMatrix there = device.upload(w, DType.F32)) {
                return device.forward().prepare(there);
            }
        });
    }

    private Matrix hessian(int n) {
        try (DeviceMatrix x = random(n, n, compute);
                DeviceMatrix gram = device.zeros(n, n, DType.F32)) {
            device.forward().addGram(x, gram);
            Matrix h = device.download(gram);
            for (int i = 0; i < n; i++) {
                h.values()[i * n + i] += 10;
            }
            return h;
        }
    }

    private Runnable factor(int n) {
        Matrix h = hessian(n);
        return closing(v -> {
            DeviceMatrix there = device.upload(h, DType.F32);
            if (!device.solve().factor(there)) {
                throw new AssertionError("not positive definite");
            }
            return there;
        });
    }

    private DeviceMatrix factored(int n) {
        DeviceMatrix there = device.upload(hessian(n), DType.F32);
        if (!device.solve().factor(there)) {
            throw new AssertionError("not positive definite");
        }
        return there;
    }

    private Runnable inverseDiagonal(int n) {
        DeviceMatrix r = factored(n);
        return () -> {
            if (device.solve().inverseDiagonal(r).length != n) {
                throw new AssertionError();
            }
        };
    }

    private Runnable sweep(int rows, int n, int block) {
        DeviceMatrix r = factored(n);
        DeviceMatrix w = random(rows, n, DType.F32);
        DeviceMatrix working = random(rows, n, DType.F32);
        int groups = n / 64;
        Grids grids = grids(rows, groups);
        int[] group = new int[block];
        for (int i = 0; i < block; i++) {
            group[i] = i / 64;
        }
        DeviceMatrix codes = device.zeros(rows, n, DType.U8);
        return () -> device.solve().sweep(w, working, r, 0, block, grids, new int[][] {group}, codes);
    }

    /** Of four bits. */
    private Grids grids(int rows, int groups) {
        float[] scales = new float[rows * groups];
        float[] zeros = new float[rows * groups];
        Arrays.fill(scales, 0.07f);
        Arrays.fill(zeros, 8);
        return new Grids(
                new CodeValues(null, 0, 15),
                device.upload(new Matrix(rows, groups, scales), DType.F32),
                device.upload(new Matrix(rows, groups, zeros), DType.F32),
                null);
    }

    private Runnable search(int rows, int n) {
        DeviceMatrix w = random(rows, n, DType.F32);
        DeviceMatrix importance = random(1, n, DType.F32);
        Grids grids = grids(rows, n / 64);
        float[] factors = new float[48];
        for (int i = 0; i < factors.length; i++) {
            factors[i] = 1.1f - 0.015f * i;
        }
        StoredScale stored = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);
        GridSearch search = new GridSearch(grids.values(), true, 7.5f, 8, 8, 8, stored, Measure.SQUARES, factors, 1);
        int[] groups = IntStream.range(0, n / 64).toArray();
        return () -> device.solve().search(w, importance, search, 0, 64, new int[][] {groups}, grids);
    }

    private Runnable descend(int rows, int n) {
        DeviceMatrix h = device.upload(hessian(n), DType.F32);
        DeviceMatrix gradient = random(rows, n, DType.F32);
        Grids grids = grids(rows, n / 64);
        DeviceMatrix codes = device.zeros(rows, n, DType.U8);
        StoredScale stored = new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);
        return closing(v -> device.solve().descend(gradient, h, 64, 128, grids, 1, codes, stored));
    }
}
