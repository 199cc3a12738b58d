package quern.bench;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.zip.CRC32C;
import quern.device.CodeValues;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.device.GridSearch;
import quern.device.GridSearch.Measure;
import quern.device.Grids;
import quern.device.StoredScale;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * The first minute with a GPU: do the kernels load, does one give the bits of the plain Java loops, and are the bits of everything
 * the same twice. Prints a checksum of each result, which another GPU of the same type must repeat. Ends with 1 where one does not
 * hold. Not yet run on a GPU.
 */
final class GpuCheck {
    private static final int ROWS = 96;
    private static final int N = 256;
    private static final int GROUP = 64;

    private final List<String> failures = new ArrayList<>();
    private final Matrix weights = random(ROWS, N, 1);
    private final Matrix inputs = random(512, N, 2);

    private GpuCheck() {}

    public static void main(String[] args) {
        long start = System.nanoTime();
        GpuCheck check = new GpuCheck();
        try (Device gpu = Devices.open("cuda");
                Device java = Devices.open("java")) {
            System.out.printf(Locale.ROOT, "%s, open after %.2f s%n", gpu.type(), (System.nanoTime() - start) / 1e9);
            System.out.printf(Locale.ROOT, "device memory that may be used: %.1f GiB%n", gpu.ownMemory() / 0x1p30);
            check.run(gpu, java);
        }
        check.failures.forEach(failure -> System.out.println("FAILED: " + failure));
        System.out.println(check.failures.isEmpty() ? "the GPU computes what it has to" : "the check failed");
        System.exit(check.failures.isEmpty() ? 0 : 1);
    }

    private void run(Device gpu, Device java) {
        Matrix factor = factor(java);
        for (Measure measure : Measure.values()) {
            equal("search by " + measure, search(gpu, measure), search(java, measure));
        }
        equal("sweep", sweep(gpu, factor), sweep(java, factor));
        equal("sweep without rounding", relax(gpu, factor), relax(java, factor));
        twice("factor", () -> factor(gpu));
        twice("product", () -> product(gpu));
        twice("sum of products", () -> gram(gpu));
        double distance = distance(product(gpu), product(java));
        System.out.printf(Locale.ROOT, "product against plain Java: relative distance %.2e%n", distance);
        if (!(distance < 0.01)) {
            failures.add("a product of bf16 lies " + distance + " from that of plain Java");
        }
        distance = distance(factor(gpu), factor);
        System.out.printf(Locale.ROOT, "factor against plain Java: relative distance %.2e%n", distance);
        if (!(distance < 0.01)) {
            failures.add("a factor lies " + distance + " from that of plain Java");
        }
    }

    private interface Kernel {
        Matrix result();
    }

    private void equal(String what, Matrix gpu, Matrix java) {
        int differing = 0;
        for (int i = 0; i < gpu.values().length; i++) {
            if (Float.floatToRawIntBits(gpu.values()[i]) != Float.floatToRawIntBits(java.values()[i])) {
                differing++;
            }
        }
        System.out.printf(
                "%s: %s, %d of %d values differ from plain Java%n", what, crc(gpu), differing, gpu.values().length);
        if (differing > 0) {
            failures.add(what + " does not give the bits of plain Java");
        }
    }

    private void twice(String what, Kernel kernel) {
        String first = crc(kernel.result());
        boolean same = first.equals(crc(kernel.result()));
        System.out.println(what + ": " + first + (same ? ", twice" : ", and then another"));
        if (!same) {
            failures.add(what + " does not give the same bits twice");
        }
    }

    private static String crc(Matrix m) {
        CRC32C crc = new CRC32C();
        crc.update(HalfFloats.fromFloats(m.values(), DType.F32));
        return "%08x".formatted(crc.getValue());
    }

    private static double distance(Matrix actual, Matrix expected) {
        double difference = 0;
        double norm = 0;
        for (int i = 0; i < actual.values().length; i++) {
            difference += Math.pow((double) actual.values()[i] - expected.values()[i], 2);
            norm += Math.pow(expected.values()[i], 2);
        }
        return Math.sqrt(difference / norm);
    }

    /** Of values that bf16 holds, so that all devices have the same operands. */
    private static Matrix random(int rows, int cols, long seed) {
        Random random = new Random(seed);
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            int bits = Float.floatToRawIntBits((float) random.nextGaussian());
            m.values()[i] = Float.intBitsToFloat(bits & 0xffff0000);
        }
        return m;
    }

    private Matrix product(Device device) {
        try (DeviceMatrix x = device.upload(inputs, device.computeType());
                DeviceMatrix w = device.upload(weights, device.computeType());
                DeviceMatrix ready = device.forward().prepare(w);
                DeviceMatrix y = device.forward().linear(x, ready, null, DType.F32)) {
            return device.download(y);
        }
    }

    private Matrix gram(Device device) {
        try (DeviceMatrix x = device.upload(inputs, device.computeType());
                DeviceMatrix gram = device.zeros(N, N, DType.F32)) {
            device.forward().addGram(x, gram);
            Matrix sum = device.download(gram);
            for (int i = 0; i < N; i++) { // what lies above the diagonal is undefined
                Arrays.fill(sum.values(), i * N + i + 1, (i + 1) * N, 0);
            }
            return sum;
        }
    }

    private Matrix factor(Device device) {
        Matrix h = Matrix.zeros(N, N);
        for (int i = 0; i < N; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = i == j ? 5 : 0;
                for (int t = 0; t < inputs.rows(); t++) {
                    sum += (double) inputs.at(t, i) * inputs.at(t, j);
                }
                h.values()[i * N + j] = (float) sum;
                h.values()[j * N + i] = (float) sum;
            }
        }
        try (DeviceMatrix there = device.upload(h, DType.F32)) {
            if (!device.solve().factor(there)) {
                throw new IllegalStateException("A positive definite matrix was not factored");
            }
            return device.download(there);
        }
    }

    static StoredScale half() {
        return new StoredScale(DType.F16, 1, 0x1p-24f, 65504, false);
    }

    private Matrix search(Device device, Measure measure) {
        float[] factors = new float[24];
        for (int i = 0; i < factors.length; i++) {
            factors[i] = 1 - 0.02f * i;
        }
        CodeValues values = new CodeValues(null, 0, 15);
        GridSearch search = new GridSearch(values, false, 15, 8, 0, 15, half(), measure, factors, 1);
        int[] groups = {0, 1, 2, 3};
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                DeviceMatrix importance = device.upload(squares(), DType.F32);
                Grids grids = Grids.of(values, ROWS, N / GROUP, device)) {
            device.solve()
                    .search(
                            w,
                            measure == Measure.SQUARES ? importance : null,
                            search,
                            0,
                            GROUP,
                            new int[][] {groups},
                            grids);
            return joined(device.download(grids.scales()), device.download(grids.zeros()));
        }
    }

    private static Matrix squares() {
        Matrix squares = random(1, N, 3);
        for (int i = 0; i < N; i++) {
            squares.values()[i] = 0.1f + squares.values()[i] * squares.values()[i];
        }
        return squares;
    }

    /** What no code is nearest to shows the last bit. */
    private Matrix relax(Device device, Matrix factor) {
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                DeviceMatrix working = device.upload(random(ROWS, N, 4), DType.F32);
                DeviceMatrix r = device.upload(factor, DType.F32);
                DeviceMatrix free = device.solve().relax(w, working, r, 0, N / 2)) {
            return device.download(free);
        }
    }

    /** The codes of the last block, and what its columns became on the way. */
    private Matrix sweep(Device device, Matrix factor) {
        int[] groups = new int[N / 2];
        Arrays.setAll(groups, i -> (N / 2 + i) / GROUP);
        CodeValues values = new CodeValues(null, 0, 15);
        try (DeviceMatrix w = device.upload(weights, DType.F32);
                DeviceMatrix working = device.upload(weights, DType.F32);
                DeviceMatrix r = device.upload(factor, DType.F32);
                DeviceMatrix codes = device.zeros(ROWS, N, DType.U8);
                Grids grids = new Grids(
                        values, device.upload(filled(0.35f), DType.F32), device.upload(filled(8), DType.F32), null)) {
            device.solve().sweep(w, working, r, N / 2, N, grids, new int[][] {groups}, codes);
            return joined(device.download(working), matrix(device.codes(codes)));
        }
    }

    private static Matrix filled(float value) {
        Matrix m = Matrix.zeros(ROWS, N / GROUP);
        Arrays.fill(m.values(), value);
        return m;
    }

    private static Matrix matrix(byte[] codes) {
        Matrix m = Matrix.zeros(ROWS, N);
        ByteBuffer all = ByteBuffer.wrap(codes);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = all.get() & 0xff;
        }
        return m;
    }

    private static Matrix joined(Matrix a, Matrix b) {
        float[] all = Arrays.copyOf(a.values(), a.values().length + b.values().length);
        System.arraycopy(b.values(), 0, all, a.values().length, b.values().length);
        return new Matrix(1, all.length, all);
    }
}
