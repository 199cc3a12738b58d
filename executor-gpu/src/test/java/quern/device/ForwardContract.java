package quern.device;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import quern.device.ForwardKernels.Activation;
import quern.device.ForwardKernels.AttentionShape;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** The kernels of the forward pass; those of the solve stand above, since a test has one superclass. */
abstract class ForwardContract extends BlockContract {
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
                    DeviceMatrix y = forward.attention(q, k, v, biased ? bias : null, null, shape, type)) {
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

    @ParameterizedTest
    @CsvSource({"1, 2, 1, 0, false", "5, 4, 2, 3, false", "150, 6, 3, 0, true", "300, 4, 1, 130, false"})
    void a_sink_takes_part_in_the_softmax_and_has_no_value(
            int length, int heads, int kvHeads, int window, boolean biased) {
        AttentionShape shape = new AttentionShape(length, heads, kvHeads, 16, 24, 0.25f, window, 0);
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix q = device.upload(random(2 * length, heads * 16), type);
                    DeviceMatrix k = device.upload(random(2 * length, kvHeads * 16), type);
                    DeviceMatrix v = device.upload(random(2 * length, kvHeads * 24), type);
                    DeviceMatrix bias = device.upload(random(heads, length), DType.F32);
                    DeviceMatrix sinks = device.upload(random(1, heads), DType.F32);
                    DeviceMatrix y = forward.attention(q, k, v, biased ? bias : null, sinks, shape, type)) {
                assertClose(
                        device.download(y),
                        Naive.attention(
                                held(device, q),
                                held(device, k),
                                held(device, v),
                                biased ? held(device, bias) : new double[heads][length],
                                held(device, sinks)[0],
                                shape),
                        tolerance());
            }
        }
    }

    @Test
    void heads_are_joined_column_by_column() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix a = device.upload(random(5, 3 * 7), type);
                    DeviceMatrix b = device.upload(random(5, 3 * 4), type);
                    DeviceMatrix shared = device.upload(random(5, 4), type);
                    DeviceMatrix joined = forward.join(a, 7, b, 4);
                    DeviceMatrix joinedShared = forward.join(a, 7, shared, 4)) {
                assertThat(joined.dtype()).isEqualTo(type);
                assertThat(joinedShared.cols()).isEqualTo(33);
                for (int row = 0; row < 5; row++) {
                    for (int col = 0; col < 33; col++) {
                        int head = col / 11;
                        int in = col % 11;
                        double left = held(device, a)[row][head * 7 + Math.min(in, 6)];
                        assertThat(held(device, joined)[row][col])
                                .isEqualTo(in < 7 ? left : held(device, b)[row][head * 4 + in - 7]);
                        assertThat(held(device, joinedShared)[row][col])
                                .isEqualTo(in < 7 ? left : held(device, shared)[row][in - 7]);
                    }
                }
            }
        }
    }

    @Test
    void a_clamped_gate_is_cut_above_and_its_factor_on_both_sides() {
        Matrix inputs = random(7, 33);
        Matrix factors = random(7, 33);
        for (int i = 0; i < inputs.values().length; i++) {
            inputs.values()[i] *= 6;
            factors.values()[i] *= 3;
        }
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix gate = device.upload(inputs, type);
                    DeviceMatrix up = device.upload(factors, type);
                    DeviceMatrix y = forward.clampedGate(gate, up, 1.7f, 2, type)) {
                assertThat(y.dtype()).isEqualTo(type);
                double[][] expected = new double[7][33];
                for (int i = 0; i < 7; i++) {
                    for (int j = 0; j < 33; j++) {
                        double g = Math.min(held(device, gate)[i][j], 2);
                        double u = Math.max(-2, Math.min(2, held(device, up)[i][j]));
                        expected[i][j] = (u + 1) * g / (1 + Math.exp(-1.7f * g));
                    }
                }
                assertClose(device.download(y), expected, type == DType.F32 ? 1e-6 : 0x1p-8);
            }
        }
    }

    @Test
    void rows_of_several_matrices_are_put_below_each_other() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix a = device.upload(random(7, 19), type);
                    DeviceMatrix b = device.upload(random(3, 19), type);
                    DeviceMatrix y =
                            forward.gather(List.of(a, b, a), List.of(new int[] {1, 2, 6}, new int[0], new int[] {0}))) {
                assertThat(y.dtype()).isEqualTo(type);
                assertThat(held(device, y)).isDeepEqualTo(new double[][] {
                    held(device, a)[1], held(device, a)[2], held(device, a)[6], held(device, a)[0]
                });
            }
        }
    }

    @Test
    void rows_are_added_where_they_belong_times_their_factors() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(5, 19), type);
                    DeviceMatrix sum = device.upload(random(6, 19), DType.F32)) {
                double[][] expected = held(device, sum);
                forward.addRows(x, 2, new float[] {0.5f, -3}, new int[] {4, 0}, sum);
                for (int j = 0; j < 19; j++) {
                    expected[4][j] += 0.5 * held(device, x)[2][j];
                    expected[0][j] -= 3 * held(device, x)[3][j];
                }
                assertClose(device.download(sum), expected, 1e-6);
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

    @Test
    void subtract_subtracts_in_fp32() {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix a = device.upload(random(5, 19), type);
                    DeviceMatrix b = device.upload(random(5, 19), type);
                    DeviceMatrix difference = forward.subtract(a, b)) {
                Matrix left = device.download(a);
                Matrix right = device.download(b);
                for (int i = 0; i < left.values().length; i++) {
                    left.values()[i] -= right.values()[i];
                }
                assertThat(difference.dtype()).isEqualTo(DType.F32);
                assertThat(device.download(difference).values()).isEqualTo(left.values());
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

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "7, 5, 33", "300, 40, 72", "2100, 9, 17"})
    void products_of_two_inputs_are_summed(int tokens, int n, int m) {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix a = device.upload(random(tokens, n), type);
                    DeviceMatrix b = device.upload(random(tokens, m), type);
                    DeviceMatrix first = device.upload(device.download(a), compute);
                    DeviceMatrix second = device.upload(device.download(b), compute);
                    DeviceMatrix sum = device.zeros(n, m, DType.F32)) {
                forward.addProducts(a, b, sum);
                forward.addProducts(a, b, sum);
                double[][] expected = Naive.product(Naive.transposed(held(device, first)), held(device, second));
                for (double[] row : expected) {
                    for (int j = 0; j < m; j++) {
                        row[j] *= 2;
                    }
                }
                assertClose(device.download(sum), expected, 1e-5);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 5", "300, 40"})
    void the_largest_magnitude_of_each_column_is_kept(int tokens, int inputs) {
        for (DType type : List.of(DType.F32, compute)) {
            try (DeviceMatrix x = device.upload(random(tokens, inputs), type);
                    DeviceMatrix more = device.upload(random(tokens, inputs), type);
                    DeviceMatrix largest = device.zeros(1, inputs, DType.F32)) {
                forward.raiseLargest(x, largest);
                forward.raiseLargest(more, largest);
                float[] expected = new float[inputs];
                for (DeviceMatrix each : List.of(x, more)) {
                    Matrix values = device.download(each);
                    for (int i = 0; i < values.values().length; i++) {
                        expected[i % inputs] = Math.max(expected[i % inputs], Math.abs(values.values()[i]));
                    }
                }
                assertThat(device.download(largest).values()).isEqualTo(expected);
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
}
