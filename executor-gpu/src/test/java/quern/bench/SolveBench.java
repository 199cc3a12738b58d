package quern.bench;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import quern.device.Device;
import quern.device.Devices;
import quern.format.Format;
import quern.format.Formats;
import quern.method.Gptq;
import quern.method.Hessian;
import quern.method.Method;
import quern.scheme.ColumnOrder;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The CPU time that a linear's solve takes, on one thread. Arguments: widths, in groups of 64, or names of formats. */
final class SolveBench {
    private static final int TURNS = 11;
    private static final int WARM = 3;
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
    private static final int[][] SHAPES = {{576, 576}, {1536, 576}, {576, 1536}, {2048, 2048}};

    private SolveBench() {}

    public static void main(String[] args) {
        Random random = new Random(1);
        try (Device device = Devices.open("cpu", DType.F32)) {
            System.out.println(device.type());
            for (int[] shape : SHAPES) {
                Hessian hessian = SolveSample.hessian(shape[1], random);
                Matrix weight = SolveSample.normal(shape[0], shape[1], random);
                for (String codes : args) {
                    Scheme scheme = scheme(codes);
                    double[] times = new double[TURNS];
                    for (int turn = 0; turn < TURNS; turn++) {
                        long begin = CLOCK.getCurrentThreadCpuTime();
                        try (Method.Solver solver = new Gptq().solver(Recipe.DEFAULT, hessian, device)) {
                            solver.quantize("w", weight, scheme);
                        }
                        times[turn] = (CLOCK.getCurrentThreadCpuTime() - begin) / 1e6;
                    }
                    double[] sorted = Arrays.copyOfRange(times, WARM, TURNS);
                    Arrays.sort(sorted);
                    int n = sorted.length;
                    System.out.printf(
                            Locale.ROOT,
                            "%4d x %4d, %s: %.0f (%.0f to %.0f) ms%n",
                            shape[0],
                            shape[1],
                            codes,
                            sorted[n / 2],
                            sorted[n / 4],
                            sorted[3 * n / 4]);
                }
            }
        }
    }

    private static Scheme scheme(String codes) {
        if (Character.isDigit(codes.charAt(0))) {
            return new Scheme(Integer.parseInt(codes), 64, true, false, ColumnOrder.STATIC, DType.F16);
        }
        Format format = Formats.named(codes);
        return format.scheme(format.settled(Recipe.OPEN), DType.BF16);
    }
}
