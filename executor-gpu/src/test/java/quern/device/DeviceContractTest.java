package quern.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.assertj.core.data.Percentage;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.Seeds;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** What holds of every device: each kernel against its definition in double precision. */
abstract class DeviceContractTest {
    private static final long SEED = seed();

    private final Random random = new Random(SEED);
    private Device device;
    private ForwardKernels forward;
    private DType compute;

    abstract Device open();

    @BeforeEach
    void start() {
        device = open();
        forward = device.forward();
        compute = device.computeType();
    }

    @AfterEach
    void stop() {
        device.close();
    }

    private static long seed() {
        long seed = Seeds.seed();
        return seed;
    }

    /** Relative to the largest value: what rounding of operands (bf16: 2^-9 each) and of sums may cost. */
    private double tolerance() {
        return compute == DType.BF16 ? 0x1p-7 : 1e-5;
    }

    private Matrix random(int rows, int cols) {
        return random(random, rows, cols);
    }

    static Matrix random(Random random, int rows, int cols) {
        Matrix m = Matrix.zeros(rows, cols);
        for (int i = 0; i < m.values().length; i++) {
            m.values()[i] = (float) random.nextGaussian();
        }
        return m;
    }

    /** What the device holds after rounding: the operand that a reference has to start from. */
    private static double[][] held(Device device, DeviceMatrix matrix) {
        return Naive.of(device.download(matrix));
    }

    private void assertClose(Matrix actual, double[][] expected, double tolerance) {
        double largest = 0;
        for (double[] row : expected) {
            for (double value : row) {
                largest = Math.max(largest, Math.abs(value));
            }
        }
        assertThat(actual.rows()).isEqualTo(expected.length);
        assertThat(actual.cols()).isEqualTo(expected[0].length);
        for (int i = 0; i < actual.rows(); i++) {
            for (int j = 0; j < actual.cols(); j++) {
                double difference = Math.abs(actual.at(i, j) - expected[i][j]);
                assertThat(difference <= tolerance * largest)
                        .as("[%d, %d] is %s, not %s", i, j, actual.at(i, j), expected[i][j])
                        .isTrue();
            }
        }
    }

    @Test
    void matrices_come_back_as_they_went() {
        Matrix m = random(3, 37);
        try (DeviceMatrix there = device.upload(m, DType.F32);
                DeviceMatrix zeros = device.zeros(5, 7, compute)) {
            assertThat(device.download(there).values()).isEqualTo(m.values());
            assertThat(device.download(zeros).values()).containsOnly(0f);
            assertThat(List.of(zeros.rows(), zeros.cols())).containsExactly(5, 7);
            assertThat(zeros.dtype()).isEqualTo(compute);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F64", "F32", "F16", "BF16"})
    void elements_of_every_float_type_are_read(DType type) {
        float[] values = {0f, -0f, 1f, -1.5f, 0.0078125f, 240f, 0x1p-14f, -0x1.cp-3f};
        for (boolean direct : new boolean[] {true, false}) {
            ByteBuffer bytes = (direct
                            ? ByteBuffer.allocateDirect(4 + values.length * type.bytes())
                            : ByteBuffer.allocate(4 + values.length * type.bytes()))
                    .order(ByteOrder.LITTLE_ENDIAN);
            bytes.position(4);
            for (float value : values) {
                put(bytes, type, value);
            }
            bytes.position(4);
            try (DeviceMatrix there = device.upload(bytes, type, 2, 4, compute)) {
                assertThat(device.download(there).values()).isEqualTo(values);
            }
        }
    }

    /** Values that every type holds exactly, and none of them subnormal. */
    private static void put(ByteBuffer bytes, DType type, float value) {
        int bits = Float.floatToRawIntBits(value);
        switch (type) {
            case F64:
                bytes.putDouble(value);
                break;
            case F32:
                bytes.putFloat(value);
                break;
            case BF16:
                bytes.putShort((short) (bits >>> 16));
                break;
            default:
                int sign = bits >>> 16 & 0x8000;
                bytes.putShort((short) (value == 0 ? sign : sign | (bits >>> 13) - (112 << 10) & 0x7fff));
        }
    }

    @Test
    void rounding_to_the_compute_type_is_to_nearest_even() {
        float[] values = {1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1.8p-8f, 3.0e38f};
        float[] nearest = {1f, 1 + 0x1p-6f, -1 - 0x1p-7f, Float.intBitsToFloat(0x7f62 << 16)};
        try (DeviceMatrix there = device.upload(new Matrix(1, 4, values), compute)) {
            float[] expected = compute == DType.BF16 ? nearest : values;
            assertThat(device.download(there).values()).isEqualTo(expected);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "1, 64, 48", "7, 33, 17", "130, 576, 100", "300, 70, 1536"})
    void linear_is_x_times_w_transposed_plus_bias(int tokens, int inputs, int outputs) {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(tokens, inputs), compute);
                    DeviceMatrix w = device.upload(random(outputs, inputs), compute);
                    DeviceMatrix bias = device.upload(random(1, outputs), DType.F32);
                    DeviceMatrix prepared = forward.prepare(w);
                    DeviceMatrix plain = forward.linear(x, prepared, null, type);
                    DeviceMatrix biased = forward.linear(x, prepared, bias, type)) {
                assertThat(biased.dtype()).isEqualTo(type);
                double[][] expected = Naive.product(held(device, x), Naive.transposed(held(device, w)));
                double tolerance = type == DType.F32 ? 1e-5 : 0x1p-8;
                assertClose(device.download(plain), expected, tolerance);
                double[][] b = held(device, bias);
                for (double[] row : expected) {
                    for (int j = 0; j < row.length; j++) {
                        row[j] += b[0][j];
                    }
                }
                assertClose(device.download(biased), expected, tolerance);
            }
        }
    }

    @Test
    void linear_rounds_f32_operands_itself() {
        try (DeviceMatrix x = device.upload(random(5, 40), DType.F32);
                DeviceMatrix rounded = device.upload(device.download(x), compute);
                DeviceMatrix w = device.upload(random(24, 40), DType.F32);
                DeviceMatrix prepared = forward.prepare(w);
                DeviceMatrix a = forward.linear(x, prepared, null, DType.F32);
                DeviceMatrix b = forward.linear(rounded, prepared, null, DType.F32)) {
            assertThat(device.download(a).values()).isEqualTo(device.download(b).values());
            assertClose(
                    device.download(a), Naive.product(held(device, x), Naive.transposed(held(device, w))), tolerance());
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 64, 0, true", "9, 3, 40, 1, true", "9, 3, 40, 0, false", "4, 1, 576, 1, true"})
    void rms_norm_divides_by_the_root_mean_square(int rows, int runs, int width, float offset, boolean shared) {
        for (DType from : List.of(DType.F32, compute)) {
            for (DType type : List.of(DType.F32, compute)) {
                try (DeviceMatrix x = device.upload(random(rows, runs * width), from);
                        DeviceMatrix w = device.upload(random(1, shared ? width : runs * width), DType.F32);
                        DeviceMatrix y = forward.rmsNorm(x, w, width, 1e-3f, offset, type)) {
                    assertThat(y.dtype()).isEqualTo(type);
                    assertClose(
                            device.download(y),
                            Naive.rmsNorm(held(device, x), held(device, w), width, 1e-3f, offset),
                            type == DType.F32 ? 1e-5 : 0x1p-8);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 64, true, true", "9, 3, 40, true, true", "9, 3, 40, false, false", "9, 3, 40, false, true"})
    void layer_norm_takes_the_mean_away_first(int rows, int runs, int width, boolean shared, boolean biased) {
        int weights = shared ? width : runs * width;
        for (DType from : List.of(DType.F32, compute)) {
            for (DType type : List.of(DType.F32, compute)) {
                try (DeviceMatrix x = device.upload(random(rows, runs * width), from);
                        DeviceMatrix w = device.upload(random(1, weights), DType.F32);
                        DeviceMatrix b = device.upload(random(1, weights), DType.F32);
                        DeviceMatrix y = forward.layerNorm(x, w, biased ? b : null, width, 1e-3f, type)) {
                    assertThat(y.dtype()).isEqualTo(type);
                    double[][] bias = biased ? held(device, b) : new double[1][weights];
                    assertClose(
                            device.download(y),
                            Naive.layerNorm(held(device, x), held(device, w), bias, width, 1e-3f),
                            type == DType.F32 ? 1e-5 : 0x1p-8);
                }
            }
        }
    }

    @Test
    void scale_multiplies() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(5, 19), type);
                    DeviceMatrix y = forward.scale(x, 0.22f, DType.F32)) {
                double[][] expected = held(device, x);
                for (double[] row : expected) {
                    for (int j = 0; j < row.length; j++) {
                        row[j] *= 0.22f;
                    }
                }
                assertClose(device.download(y), expected, 1e-6);
            }
        }
    }

    @Test
    void rows_are_gathered_in_the_order_asked_for() {
        int[] index = {4, 5, 6, 0, 2, 2, 1};
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(7, 19), type);
                    DeviceMatrix y = forward.rows(x, index)) {
                assertThat(y.dtype()).isEqualTo(type);
                for (int i = 0; i < index.length; i++) {
                    assertThat(held(device, y)[i]).isEqualTo(held(device, x)[index[i]]);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 2, 1, false",
        "10, 3, 64, 32, false",
        "10, 3, 24, 6, false",
        "6, 2, 20, 10, true",
        "6, 2, 20, 4, true"
    })
    void rotary_turns_pairs(int length, int heads, int headDim, int half, boolean interleaved) {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(2 * length, heads * headDim), type);
                    DeviceMatrix cos = device.upload(random(length, half), DType.F32);
                    DeviceMatrix sin = device.upload(random(length, half), DType.F32);
                    DeviceMatrix y = forward.rotary(x, cos, sin, headDim, interleaved, type)) {
                assertThat(y.dtype()).isEqualTo(type);
                assertClose(
                        device.download(y),
                        Naive.rotary(held(device, x), held(device, cos), held(device, sin), headDim, interleaved),
                        type == DType.F32 ? 1e-6 : 0x1p-8);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 8, 8, 0",
        "5, 4, 2, 16, 16, 0",
        "130, 9, 3, 64, 64, 0",
        "300, 2, 2, 24, 16, 0",
        "300, 2, 1, 33, 33, 7",
        "257, 4, 4, 32, 32, 128",
        "20, 2, 1, 16, 16, 64"
    })
    void attention_is_a_causal_softmax(int length, int heads, int kvHeads, int headDim, int valueDim, int window) {
        AttentionShape shape =
                new AttentionShape(length, heads, kvHeads, headDim, valueDim, 1 / (float) Math.sqrt(headDim), window);
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix q = device.upload(random(2 * length, heads * headDim), type);
                    DeviceMatrix k = device.upload(random(2 * length, kvHeads * headDim), type);
                    DeviceMatrix v = device.upload(random(2 * length, kvHeads * valueDim), type);
                    DeviceMatrix y = forward.attention(q, k, v, shape, type)) {
                assertThat(y.dtype()).isEqualTo(type);
                assertClose(
                        device.download(y),
                        Naive.attention(
                                held(device, q), held(device, k), held(device, v), new double[heads][length], shape),
                        tolerance());
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "5, 4, 2, 16, 0, 0, true",
        "130, 6, 3, 16, 0, 3, false",
        "300, 2, 2, 24, 7, 0, true",
        "140, 4, 1, 32, 0, 2, true"
    })
    void scores_may_be_capped_and_biased_by_the_keys_position(
            int length, int heads, int kvHeads, int headDim, int window, float cap, boolean biased) {
        AttentionShape shape = new AttentionShape(length, heads, kvHeads, headDim, headDim, 0.5f, window, cap);
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix q = device.upload(random(2 * length, heads * headDim), type);
                    DeviceMatrix k = device.upload(random(2 * length, kvHeads * headDim), type);
                    DeviceMatrix v = device.upload(random(2 * length, kvHeads * headDim), type);
                    DeviceMatrix bias = device.upload(random(heads, length), DType.F32);
                    DeviceMatrix y = forward.attention(q, k, v, biased ? bias : null, shape, type)) {
                assertClose(
                        device.download(y),
                        Naive.attention(
                                held(device, q),
                                held(device, k),
                                held(device, v),
                                biased ? held(device, bias) : new double[heads][length],
                                shape),
                        tolerance());
            }
        }
    }

    @Test
    void attention_does_not_see_the_future_at_all() {
        AttentionShape shape = new AttentionShape(200, 2, 1, 16, 16, 0.25f, 0);
        Matrix q = random(200, 32);
        Matrix k = random(200, 16);
        Matrix v = random(200, 16);
        float[] before = attend(q, k, v, shape);
        for (int i = 150 * 16; i < 200 * 16; i++) {
            k.values()[i] = 50;
            v.values()[i] = 1e30f;
        }
        float[] after = attend(q, k, v, shape);
        assertThat(Arrays.copyOf(after, 150 * 32)).isEqualTo(Arrays.copyOf(before, 150 * 32));
        assertThat(after).isNotEqualTo(before);
    }

    private float[] attend(Matrix q, Matrix k, Matrix v, AttentionShape shape) {
        try (DeviceMatrix dq = device.upload(q, compute);
                DeviceMatrix dk = device.upload(k, compute);
                DeviceMatrix dv = device.upload(v, compute);
                DeviceMatrix y = forward.attention(dq, dk, dv, shape, DType.F32)) {
            return device.download(y).values();
        }
    }

    @ParameterizedTest
    @EnumSource(Activation.class)
    void activations_follow_their_definitions(Activation activation) {
        Matrix inputs = random(7, 33);
        for (int i = 0; i < inputs.values().length; i++) {
            inputs.values()[i] *= 4;
        }
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix gate = device.upload(inputs, type);
                    DeviceMatrix up = device.upload(random(7, 33), type);
                    DeviceMatrix alone = forward.activate(activation, gate, null, type);
                    DeviceMatrix gated = forward.activate(activation, gate, up, type)) {
                assertThat(gated.dtype()).isEqualTo(type);
                double[][] expected = held(device, gate);
                double[][] u = held(device, up);
                double[][] expectedGated = new double[7][33];
                for (int i = 0; i < 7; i++) {
                    for (int j = 0; j < 33; j++) {
                        expected[i][j] = Naive.activation(activation, expected[i][j]);
                        expectedGated[i][j] = expected[i][j] * u[i][j];
                    }
                }
                double tolerance = type == DType.F32 ? 1e-6 : 0x1p-8;
                assertClose(device.download(alone), expected, tolerance);
                assertClose(device.download(gated), expectedGated, tolerance);
            }
        }
    }

    @Test
    void add_adds_in_fp32() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix a = device.upload(random(5, 19), DType.F32);
                    DeviceMatrix b = device.upload(random(5, 19), type);
                    DeviceMatrix sum = forward.add(a, b)) {
                Matrix left = device.download(a);
                Matrix right = device.download(b);
                for (int i = 0; i < left.values().length; i++) {
                    left.values()[i] += right.values()[i];
                }
                assertThat(sum.dtype()).isEqualTo(DType.F32);
                assertThat(device.download(sum).values()).isEqualTo(left.values());
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 5", "300, 40", "100, 577", "2100, 33", "64, 1100"})
    void gram_sums_outer_products_below_the_diagonal(int tokens, int inputs) {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(tokens, inputs), type);
                    DeviceMatrix rounded = device.upload(device.download(x), compute);
                    DeviceMatrix gram = device.zeros(inputs, inputs, DType.F32)) {
                forward.addGram(x, gram);
                forward.addGram(x, gram);
                double[][] r = held(device, rounded);
                double[][] expected = Naive.product(Naive.transposed(r), r);
                Matrix actual = device.download(gram);
                for (int i = 0; i < inputs; i++) {
                    for (int j = 0; j < inputs; j++) {
                        expected[i][j] = j > i ? 0 : 2 * expected[i][j];
                        if (j > i) {
                            actual.values()[i * inputs + j] = 0;
                        }
                    }
                }
                assertClose(actual, expected, 1e-5);
            }
        }
    }

    @Test
    void results_do_not_depend_on_what_other_threads_do() throws Exception {
        AttentionShape shape = new AttentionShape(150, 3, 1, 32, 32, 0.2f, 0);
        try (DeviceMatrix x = device.upload(random(300, 96), DType.F32);
                DeviceMatrix k = device.upload(random(300, 32), compute);
                DeviceMatrix w = device.upload(random(200, 96), compute);
                DeviceMatrix prepared = forward.prepare(w)) {
            Callable<List<float[]>> work = () -> {
                List<float[]> results = new ArrayList<>();
                try (DeviceMatrix y = forward.linear(x, prepared, null, DType.F32);
                        DeviceMatrix a = forward.attention(x, k, k, shape, DType.F32);
                        DeviceMatrix gram = device.zeros(96, 96, DType.F32)) {
                    forward.addGram(x, gram);
                    results.add(device.download(y).values());
                    results.add(device.download(a).values());
                    results.add(device.download(gram).values());
                }
                return results;
            };
            List<float[]> alone = work.call();
            ExecutorService threads = Executors.newFixedThreadPool(4);
            try {
                List<Future<List<float[]>>> futures = new ArrayList<>();
                for (int i = 0; i < 16; i++) {
                    futures.add(threads.submit(work));
                }
                for (Future<List<float[]>> future : futures) {
                    for (int i = 0; i < alone.size(); i++) {
                        assertThat(future.get().get(i)).isEqualTo(alone.get(i));
                    }
                }
            } finally {
                threads.shutdown();
            }
        }
    }

    /** A well-conditioned positive definite matrix; what lies above the diagonal is not to be read. */
    private Matrix hessian(int n) {
        double[][] x = Naive.of(random(2 * n, n));
        double[][] h = Naive.product(Naive.transposed(x), x);
        Matrix m = Matrix.zeros(n, n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                m.values()[i * n + j] = j > i ? Float.NaN : (float) h[i][j] / n;
            }
        }
        return m;
    }

    private static double[][] mirrored(Matrix lower) {
        double[][] h = Naive.of(lower);
        for (int i = 0; i < h.length; i++) {
            for (int j = i + 1; j < h.length; j++) {
                h[i][j] = h[j][i];
            }
        }
        return h;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 63, 64, 65, 200})
    void factor_is_upper_and_its_square_is_the_hessian(int n) {
        Matrix h = hessian(n);
        try (DeviceMatrix r = device.upload(h, DType.F32)) {
            assertThat(device.solve().factor(r)).isTrue();
            double[][] upper = held(device, r);
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < i; j++) {
                    assertThat(upper[i][j]).isZero();
                }
                assertThat(upper[i][i]).isPositive();
            }
            Matrix product = Matrix.zeros(n, n);
            double[][] square = Naive.product(upper, Naive.transposed(upper));
            for (int i = 0; i < n * n; i++) {
                product.values()[i] = (float) square[i / n][i % n];
            }
            assertClose(product, mirrored(h), 1e-5);

            double[][] inverse = Naive.inverse(mirrored(h));
            float[] diagonal = device.solve().inverseDiagonal(r);
            for (int i = 0; i < n; i++) {
                assertThat((double) diagonal[i]).isCloseTo(inverse[i][i], Percentage.withPercentage(0.1));
            }
        }
    }

    @Test
    void a_hessian_that_is_not_positive_definite_is_reported() {
        for (float bad : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
            Matrix h = hessian(70);
            h.values()[30 * 70 + 30] = bad;
            try (DeviceMatrix r = device.upload(h, DType.F32)) {
                assertThat(device.solve().factor(r))
                        .as("%s on the diagonal", bad)
                        .isFalse();
            }
        }
    }

    @Test
    void sweep_and_propagate_reach_the_codes_of_the_definition() {
        int rows = 300;
        int n = 90;
        Solve solve = new Solve(device, random, rows, n);
        solve.run(0, rows, 32);
        solve.assertMatchesDefinition();
    }

    @Test
    void a_solve_does_not_depend_on_how_rows_are_split() {
        int rows = 600;
        int n = 200;
        Solve solve = new Solve(device, random, rows, n);
        solve.run(0, rows, 128);
        byte[] whole = solve.codes();
        float[] working = solve.working();
        for (int at : new int[] {1, 7, 256, 300, 599}) {
            solve.run(0, at, 128);
            byte[] top = solve.codes();
            float[] topWorking = solve.working();
            solve.run(at, rows, 128);
            assertThat(top).isEqualTo(Arrays.copyOf(whole, at * n));
            assertThat(topWorking).isEqualTo(Arrays.copyOf(working, at * n));
            assertThat(solve.codes()).isEqualTo(Arrays.copyOfRange(whole, at * n, rows * n));
            assertThat(solve.working()).isEqualTo(Arrays.copyOfRange(working, at * n, rows * n));
        }
    }

    @Test
    void a_closed_matrix_cannot_be_read_where_memory_is_native() {
        assumeThat(device.name()).isEqualTo("cpu");
        DeviceMatrix m = device.upload(random(3, 3), DType.F32);
        m.close();
        m.close();
        assertThatThrownBy(() -> device.download(m)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void a_matrix_of_another_device_is_refused() {
        DeviceMatrix foreign = new DeviceMatrix() {
            @Override
            public int rows() {
                return 1;
            }

            @Override
            public int cols() {
                return 1;
            }

            @Override
            public DType dtype() {
                return DType.F32;
            }

            @Override
            public void close() {}
        };
        assertThatThrownBy(() -> device.download(foreign)).isInstanceOf(IllegalArgumentException.class);
    }
}
