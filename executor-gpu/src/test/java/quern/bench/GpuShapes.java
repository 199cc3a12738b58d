package quern.bench;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Grids;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What is measured on: matrices of real sizes, or of small ones like them.
 *
 * @param shrink 1, or what sizes are divided by
 */
record GpuShapes(Device device, int shrink) {
    /** A size of the real shape, or a small one like it. */
    int size(int real) {
        return Math.max(16, real / shrink);
    }

    boolean real() {
        return shrink == 1;
    }

    static void close(DeviceMatrix... matrices) {
        for (DeviceMatrix matrix : matrices) {
            matrix.close();
        }
    }

    /** Uniform in [-1, 1): zeros would be faster than what is real. */
    DeviceMatrix random(int rows, int cols, DType type) {
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
        DeviceMatrix all = device.forward().rows(drawn, index);
        drawn.close();
        return all;
    }

    static Matrix filled(int rows, int cols, float value) {
        Matrix m = Matrix.zeros(rows, cols);
        Arrays.fill(m.values(), value);
        return m;
    }

    Grids grids(int outputs, int groups) {
        return new Grids(
                new CodeValues(null, 0, 15),
                device.upload(filled(outputs, groups, 0.14f), DType.F32),
                device.upload(filled(outputs, groups, 8), DType.F32),
                null);
    }

    /** Damped, of more random rows than it has columns. */
    DeviceMatrix hessian(int n) {
        DeviceMatrix x = random(2 * n, n, DType.BF16);
        DeviceMatrix gram = device.zeros(n, n, DType.F32);
        device.forward().addGram(x, gram);
        int[] order = IntStream.range(0, n).toArray();
        float[] diagonal = new float[n];
        Arrays.fill(diagonal, 0.4f); // a third, the mean square, and damping
        DeviceMatrix h = device.solve().hessian(gram, 2L * n, order, diagonal);
        close(x, gram);
        return h;
    }
}
