package quern.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.util.Locale;
import java.util.Random;
import quern.device.Device;
import quern.device.Devices;
import quern.format.Format;
import quern.format.Formats;
import quern.format.PackedTensors;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;

/** Nanoseconds of one core for a weight, for what formats without calibration do to it; arguments are names of formats. */
final class CastBench {
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();
    private static final int ROWS = 256;
    private static final int COLS = 2048;

    private CastBench() {}

    public static void main(String[] args) throws Exception {
        Random random = new Random(1);
        ByteBuffer stored = ByteBuffer.allocateDirect(2 * ROWS * COLS).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < ROWS * COLS; i++) {
            stored.putShort(HalfFloats.toBf16((float) random.nextGaussian() * 0.02f));
        }
        stored.flip();
        float[] values = new float[ROWS * COLS];
        byte[] bytes = new byte[ROWS * COLS];
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        System.out.printf(
                Locale.ROOT,
                "widen %.2f, sha256 of a byte %.2f%n",
                nanos(() -> HalfFloats.toFloats(stored, DType.BF16, values, 0, values.length)),
                nanos(() -> digest.update(bytes)));
        System.out.printf("%-28s %8s %8s %8s%n", "", "quantize", "pack", "unpack");
        Matrix weight = new Matrix(ROWS, COLS, values);
        try (Device device = Devices.open("java")) {
            for (Format format : Formats.all()) {
                if (args.length > 0 && !String.join(" ", args).contains(format.name())) {
                    continue;
                }
                Recipe open = Recipe.OPEN
                        .edit()
                        .method(format.name().equals("hqq") ? "hqq" : "rtn")
                        .format(format.name())
                        .scales(ScaleRule.MAX)
                        .percdamp(0.01)
                        .recipe();
                Recipe recipe = format.settled(open);
                Scheme scheme = format.scheme(recipe, DType.BF16);
                Method.Solver solver = Methods.named(recipe.method()).solver(recipe, null, device);
                QuantizedLinear q = solver.quantize("w", weight, scheme).quantized();
                PackedLinear packed = new PackedLinear(format, q);
                System.out.printf(
                        Locale.ROOT,
                        "%-28s %8.2f %8.2f %8.2f%n",
                        format.name() + " " + recipe.method() + " " + recipe.bits(),
                        nanos(() -> solver.quantize("w", weight, scheme)),
                        nanos(() -> format.pack(q)),
                        nanos(() -> packed.unpack()));
                solver.close();
            }
        }
    }

    private record PackedLinear(Format format, QuantizedLinear q, TensorSource tensors) {
        PackedLinear(Format format, QuantizedLinear q) {
            this(format, q, PackedTensors.of(format, "w", q));
        }

        void unpack() {
            try {
                format.unpack("w", tensors, q.scheme());
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** The best of many repetitions, in processor time: that of other programs is not counted. */
    private static double nanos(Runnable repeated) {
        long end = System.nanoTime() + 1_500_000_000L;
        double best = Double.MAX_VALUE;
        while (System.nanoTime() < end) {
            long start = CLOCK.getCurrentThreadCpuTime();
            repeated.run();
            best = Math.min(best, CLOCK.getCurrentThreadCpuTime() - start);
        }
        return best / (ROWS * COLS);
    }
}
