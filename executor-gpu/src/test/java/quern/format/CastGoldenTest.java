package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.device.Device;
import quern.device.Devices;
import quern.method.Method;
import quern.method.Methods;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;
import quern.tensor.TensorSpec;

/**
 * Formats without calibration: the bytes that their own tools make of the same weights; of a model in {@code ../shared}, or of a linear that
 * {@code src/test/python/golden.py} had them store.
 */
class CastGoldenTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path KNOWN_GOOD =
            Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good");

    /** The last column: how many of all codes may differ, where a tool rounds once more on its way. */
    @ParameterizedTest
    @CsvSource({
        "bnb-nf4, bitsandbytes-nf4, 0",
        "bnb-nf4-dq, bitsandbytes-nf4-nested, 6", // the mean of the magnitudes, in another order of sums
        "bnb-fp4, bitsandbytes-fp4, 468", // of 73,728: it has two codes of zero
        "bnb-int8, bitsandbytes-int8, 77", // of 147,456: the library rounds weights to half floats first
        "fp8-block, fp8, 2", // multiplied by 448 / magnitude there
        "ct-fp8-dynamic, compressed-tensors-fp8, 4376", // the library divides in bfloat16, and so rounds twice
        "ct-mxfp4a16, compressed-tensors-mxfp4, 0",
        "ct-w8a8, compressed-tensors-int8, 14672", // of 147,456: again, and none if it is divided so
        "ao-int8wo, torchao-int8, 9315", // of 147,456: the library computes scales in bfloat16; given those, 4 differ
        "ao-intx4, torchao, 1408",
        "quanto-int4, quanto-int4, 339", // of 6,548: the library adds and divides in bfloat16; where we do, 7 codes
        // differ
        "quanto-int2, quanto-int2, 74", // of 3,476: likewise, and then none
        "hqq-4bit-a1, hqq, 0",
        "hqq-3bit-a1, hqq, 0",
        "hqq-1bit, hqq, 0",
        "hqq-2bit, hqq, 0",
        "hqq-8bit, hqq, 0",
        "quark-fp8, quark-fp8, 0",
        "quark-int8, quark-int8, 4", // multiplied by 1 / scale there
        "modelopt-fp8, modelopt-fp8, 197", // of 12,288: the library divides in bfloat16, and so rounds twice
        "modelopt-nvfp4, modelopt-nvfp4, 0",
        "quanto-fp8, quanto-fp8, 335", // of 12,288: the library divides in bfloat16, and none if it is divided so
        "torchao-fp8, torchao-fp8, 194", // of 12,288: the library rounds scales to bfloat16; given those, none
        "fbgemm-fp8, fbgemm-fp8, 18", // of 12,288: multiplied by 448 / magnitude there
    })
    void are_made_of_the_same_weights(String checkpoint, String name, int most) throws Exception {
        URL golden = CastGoldenTest.class.getResource("/golden/" + checkpoint);
        Path folder = golden == null ? KNOWN_GOOD.resolve(checkpoint) : Path.of(golden.toURI());
        assumeTrue(
                Files.exists(folder), () -> "skipped: no known-good checkpoint at " + folder + ": set -Dquern.shared");
        Checkpoint expected = Checkpoint.open(new LocalStore(folder));
        Path given = golden == null ? KNOWN_GOOD.resolve("source") : folder.resolve("source");
        Checkpoint source = Files.exists(given) ? Checkpoint.open(new LocalStore(given)) : expected;
        Format format = Formats.named(name);
        Recipe recipe = format.settled(recipe(checkpoint));
        Scheme scheme = format.scheme(recipe, checkpoint.startsWith("hqq") ? DType.F32 : DType.BF16);
        int linears = 0;
        int differing = 0;
        for (String tensor : source.names()) {
            String linear = tensor.replaceFirst("\\.weight$", "");
            if (!expected.names().contains(linear + "." + format.codes())) {
                continue;
            }
            TensorSpec spec = source.spec(tensor);
            int rows = spec.shape().get(0).intValue();
            int cols = spec.shape().get(1).intValue();
            Matrix weight = new Matrix(rows, cols, HalfFloats.toFloats(source.read(tensor), spec.dtype(), rows * cols));
            QuantizedLinear q;
            try (Device device = Devices.open("java");
                    Method.Solver solver = Methods.named(recipe.method()).solver(recipe, null, device)) {
                q = solver.quantize(linear, weight, scheme).quantized();
            }
            differing += compare(format, linear, q, expected);
            linears++;
        }
        assertThat(linears).isGreaterThanOrEqualTo(golden == null ? 4 : 1);
        assertThat(differing).as("bytes that differ").isLessThanOrEqualTo(most);
    }

    private static Recipe recipe(String checkpoint) {
        return Recipe.OPEN
                .edit()
                .method(checkpoint.startsWith("hqq") ? "hqq" : "rtn")
                .format("")
                .bits(checkpoint.startsWith("hqq") ? checkpoint.charAt(4) - '0' : Recipe.UNSAID)
                .groupSize(checkpoint.equals("ao-intx4") ? 32 : Recipe.UNSAID)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .recipe();
    }

    private static final float TOLERANCE = 1e-4f;

    private static int compare(Format format, String linear, QuantizedLinear q, Checkpoint expected) throws Exception {
        PackedTensors ours = PackedTensors.of(format, linear, q);
        int differing = 0;
        for (String tensor : ours.names()) {
            ByteBuffer a = ours.read(tensor).duplicate();
            ByteBuffer b = expected.read(tensor).duplicate();
            assertThat(ours.spec(tensor).dtype())
                    .as(tensor)
                    .isEqualTo(expected.spec(tensor).dtype());
            if (tensor.contains("quant_state")) {
                assertThat(json(a)).as(tensor).containsAllEntriesOf(json(b));
                continue;
            }
            assertThat(ours.spec(tensor).shape())
                    .as(tensor)
                    .isEqualTo(expected.spec(tensor).shape());
            if (ours.spec(tensor).dtype()
                    == DType.F32) { // other orders of the same arithmetic differ in the last place
                int count = a.remaining() / 4;
                float[] x = HalfFloats.toFloats(a, DType.F32, count);
                float[] y = HalfFloats.toFloats(b, DType.F32, count);
                for (int i = 0; i < count; i++) {
                    assertThat(x[i]).as(tensor + " at " + i).isCloseTo(y[i], within(TOLERANCE));
                }
                continue;
            }
            for (int i = 0; i < a.remaining(); i++) {
                differing += a.get(a.position() + i) == b.get(b.position() + i) ? 0 : 1;
            }
        }
        return differing;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> json(ByteBuffer text) throws Exception {
        JsonNode node =
                JSON.readTree(StandardCharsets.UTF_8.decode(text.duplicate()).toString());
        return JSON.convertValue(node, Map.class);
    }
}
