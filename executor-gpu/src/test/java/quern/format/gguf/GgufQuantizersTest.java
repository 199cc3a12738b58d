package quern.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import quern.Seeds;
import quern.device.Device;
import quern.device.Devices;
import quern.method.Hessian;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/** The bytes of libggml's own quantizers, without importance and with it. */
class GgufQuantizersTest {
    private static final Device DEVICE = Devices.open("java");

    /**
     * Of the 64 x 256 weights of {@link #weights}, by libggml: a hash of its bytes without importance, and with that of
     * {@link #importance}.
     */
    private static final Map<GgufType, String> HASHES = Map.ofEntries(
            Map.entry(GgufType.Q4_0, "6472603d22506cfa bfa9807ab1d41bcd"),
            Map.entry(GgufType.Q4_1, "bd174428852e68eb 84c2abebccc61882"),
            Map.entry(GgufType.Q5_0, "61f6aae7e7face6b c8a2311ffdbb9a53"),
            Map.entry(GgufType.Q5_1, "23c93944ce25bcd4 32b0244895c17b46"),
            Map.entry(GgufType.Q8_0, "6255ba6a8b81ecff 6255ba6a8b81ecff"),
            Map.entry(GgufType.Q2_K, "a7813266f8c2fd42 750fbce3224148be"),
            Map.entry(GgufType.Q3_K, "ccb2d735923a977b 6a9d18bf9deff0da"),
            Map.entry(GgufType.Q4_K, "636f0372464069d0 f1535281331c3bef"),
            Map.entry(GgufType.Q5_K, "902059f8812f9c25 6da1fd2bbdfb67d0"),
            Map.entry(GgufType.Q6_K, "4ba0c4e8a2166ac9 66fb843b4b83c800"),
            Map.entry(GgufType.IQ4_NL, "df5e876f38445e20 a9b19d91ee1c3ef9"),
            Map.entry(GgufType.IQ4_XS, "277f07efd038bb3d c6126466b43f278a"));

    @AfterAll
    static void close() {
        DEVICE.close();
    }

    static Stream<GgufType> written() {
        return Arrays.stream(GgufType.values()).filter(type -> type.scheme() != null);
    }

    @ParameterizedTest
    @MethodSource("written")
    void random_weights_get_the_bytes_of_libggml_but_where_all_are_zero(GgufType type) throws Exception {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good", "gguf");
        assumeTrue(Files.isDirectory(folder), () -> "no blocks at " + folder + ": set -Dquern.shared");
        Checkpoint blocks = Checkpoint.file(new LocalStore(folder), "blocks.safetensors");
        float[] source = HalfFloats.toFloats(blocks.read("source"), DType.F32, 4 * 256);
        ByteBuffer expected = blocks.read(type + ".bytes").order(ByteOrder.LITTLE_ENDIAN);

        ByteBuffer packed = packed("rtn", type, new Matrix(4, 256, source), null);

        int size = type.fits(32) ? 32 : 256;
        int bytes = (int) type.bytes(size);
        float[] ours = type.decode(packed, source.length);
        float[] theirs = type.decode(expected, source.length);
        int others = 0;
        for (int block = 0; block < source.length / size; block++) {
            if (packed.slice(block * bytes, bytes).equals(expected.slice(block * bytes, bytes))) {
                continue;
            }
            others++; // the one with 32 zeros, whose scale is 0 in libggml and the smallest one here
            float largest = 0;
            for (int i = block * size; i < (block + 1) * size; i++) {
                largest = Math.max(largest, Math.abs(source[i]));
            }
            for (int i = block * size; i < (block + 1) * size; i++) {
                assertThat(ours[i]).isCloseTo(theirs[i], within(source[i] == 0 ? largest / 4000 + 1e-6f : 0));
            }
        }
        assertThat(others).isLessThanOrEqualTo(1);
    }

    @ParameterizedTest
    @MethodSource("written")
    void regular_weights_get_the_bytes_of_libggml(GgufType type) {
        assertThat(hash(packed("rtn", type, weights(), null)) + " "
                        + hash(packed("imatrix", type, weights(), importance())))
                .isEqualTo(HASHES.get(type));
    }

    /** What another decoder makes of the bytes, and what the codes stand for. */
    @ParameterizedTest
    @MethodSource("written")
    void what_is_packed_stands_for_the_same(GgufType type) {
        Random random = Seeds.random();
        Matrix weight = Matrix.zeros(8, 512);
        for (int i = 0; i < weight.values().length; i++) {
            // Some groups of zeros, of one sign, and of one value.
            float value = i / 32 % 7 == 0 ? 0 : i / 256 % 5 == 1 ? 0.25f : (float) random.nextGaussian();
            weight.values()[i] = i / 128 % 3 == 0 ? Math.abs(value) : i / 128 % 3 == 1 ? value : -Math.abs(value);
        }
        Scheme scheme = Objects.requireNonNull(type.scheme());
        QuantizedLinear q = quantized("rtn", scheme, weight, null);
        ByteBuffer bytes = new BlockPacking(scheme).pack(q);

        QuantizedLinear back = new BlockPacking(scheme).unpack(bytes, 8, 512);
        assertThat(back.codes()).isEqualTo(q.codes());
        assertThat(back.scales()).isEqualTo(q.scales());
        assertThat(back.units().scales()).isEqualTo(q.units().scales());
        float[] values = type.decode(bytes, 8 * 512);
        for (float[] other :
                new float[][] {q.dequantize().values(), back.dequantize().values()}) {
            for (int i = 0; i < values.length; i++) {
                assertThat(other[i]).isCloseTo(values[i], within(1e-5f));
                assertThat(Math.abs(values[i] - weight.values()[i])).isLessThan(weight.values()[i] == 0 ? 0.15f : 1.1f);
            }
        }
    }

    private static ByteBuffer packed(String method, GgufType type, Matrix weight, float @Nullable [] importance) {
        Scheme scheme = Objects.requireNonNull(type.scheme());
        return new BlockPacking(scheme).pack(quantized(method, scheme, weight, importance));
    }

    private static QuantizedLinear quantized(
            String method, Scheme scheme, Matrix weight, float @Nullable [] importance) {
        Hessian hessian = null;
        if (importance != null) {
            int n = importance.length;
            Matrix sum = Matrix.zeros(n, n);
            for (int i = 0; i < n; i++) {
                sum.values()[i * n + i] = importance[i];
            }
            hessian = new Hessian(sum, 1);
        }
        try (Method.Solver solver = Methods.named(method).solver(Recipe.DEFAULT, hessian, DEVICE)) {
            return solver.quantize("a", weight, scheme).quantized();
        }
    }

    private static Matrix weights() {
        Matrix weights = Matrix.zeros(64, 256);
        for (int i = 0; i < weights.values().length; i++) {
            weights.values()[i] = ((i * 7919 + 13) % 1021 - 510) / 4096f * (1 + i / 32 % 8 / 4f);
        }
        return weights;
    }

    private static float[] importance() {
        float[] importance = new float[256];
        for (int i = 0; i < importance.length; i++) {
            importance[i] = (1 + i * 37 % 101) / 16f;
        }
        return importance;
    }

    private static String hash(ByteBuffer bytes) {
        long hash = 1469598103934665603L;
        for (byte value : bytes.array()) {
            hash = (hash ^ value & 0xff) * 1099511628211L;
        }
        return Long.toHexString(hash);
    }
}
