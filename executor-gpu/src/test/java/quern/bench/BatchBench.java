package quern.bench;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import quern.device.Device;
import quern.device.Devices;
import quern.method.Gptq;
import quern.method.Hessian;
import quern.method.Method;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * The solve of experts of one shape as a batch beside one after the other, on one thread. Arguments: the device's name; tiny for a try.
 */
final class BatchBench {
    private static final int TURNS = 15;
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();

    /** Experts, inputs, outputs. */
    private static final int[][] OF_CPU = {
        {32, 64, 32}, {32, 128, 64}, {8, 128, 64}, {32, 256, 128}, {4, 256, 128}, {8, 512, 256}
    };

    private static final int[][] OF_GPU = {{8, 2048, 768}, {16, 768, 2048}, {32, 512, 256}};
    private static final int[][] TINY = {{2, 64, 32}};

    private final Random random = new Random(1);
    private final Device device;

    private BatchBench(Device device) {
        this.device = device;
    }

    public static void main(String[] args) {
        try (Device device = Devices.open(args.length > 0 ? args[0] : "cpu", DType.F32)) {
            System.out.println(device.type());
            BatchBench bench = new BatchBench(device);
            int[][] usual = device.ownMemory() > 0 ? OF_GPU : OF_CPU;
            for (int[] shape : args.length > 1 ? TINY : usual) {
                bench.compare(shape[0], shape[1], shape[2]);
            }
        }
    }

    private void compare(int experts, int inputs, int outputs) {
        Scheme scheme = new Scheme(4, 32, true, false, ColumnOrder.STATIC, DType.F16);
        List<Hessian> hessians = new ArrayList<>();
        List<Matrix> weights = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (int e = 0; e < experts; e++) {
            hessians.add(SolveSample.hessian(inputs, random));
            weights.add(SolveSample.normal(outputs, inputs, random));
            names.add("expert " + e);
        }
        double[] alone = new double[TURNS];
        double[] together = new double[TURNS];
        for (int turn = 0; turn < TURNS; turn++) {
            alone[turn] = milliseconds(() -> {
                for (int e = 0; e < experts; e++) {
                    try (Method.Solver solver = new Gptq().solver(Recipe.DEFAULT, hessians.get(e), device)) {
                        solver.quantize(names.get(e), weights.get(e), scheme);
                    }
                }
            });
            together[turn] = milliseconds(() -> {
                try (Method.Batch batch = new Gptq().batch(Recipe.DEFAULT, hessians, device)) {
                    batch.quantize(names, weights, scheme);
                }
            });
        }
        System.out.printf(
                Locale.ROOT,
                "%3d experts of %4d x %4d: alone %s ms, as a batch %s ms%n",
                experts,
                outputs,
                inputs,
                quartiles(alone),
                quartiles(together));
    }

    /** The middle one, and those about it: the first turns are the compiler's. */
    private static String quartiles(double[] all) {
        double[] sorted = Arrays.copyOfRange(all, 5, all.length);
        Arrays.sort(sorted);
        int n = sorted.length;
        return String.format(Locale.ROOT, "%.1f (%.1f to %.1f)", sorted[n / 2], sorted[n / 4], sorted[3 * n / 4]);
    }

    /** On a CPU of this thread, for others compute beside it. */
    private double milliseconds(Runnable work) {
        long begin = nanos();
        work.run();
        return (nanos() - begin) / 1e6;
    }

    private long nanos() {
        return device.ownMemory() > 0 ? System.nanoTime() : CLOCK.getCurrentThreadCpuTime();
    }
}
