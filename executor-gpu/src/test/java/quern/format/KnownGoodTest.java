package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** Checkpoints that the other tools wrote, against hashes of what an independent script dequantized them to. */
class KnownGoodTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    @ParameterizedTest
    @CsvSource({
        "gptq-4bit-sym-v1, gptq, 4, GROUP",
        "gptq-4bit-asym-v1, gptq, 4, GROUP",
        "gptq-4bit-asym-v2, gptq_v2, 4, GROUP",
        "gptq-4bit-sym-descact-v1, gptq, 4, FULL",
        "gptq-3bit-asym-v2, gptq_v2, 3, GROUP",
        "gptq-8bit-sym-v1, gptq, 8, GROUP",
        "ar-gptq-sym, autoround, 4, OFF",
        "ar-plain-asym, autoround, 4, OFF",
        "ao-int8wo, torchao-int8, 8, OFF",
        "ao-intx4, torchao, 4, OFF",
        "ct-w4a16, compressed-tensors, 4, OFF",
        "ct-w4a16-asym, compressed-tensors, 4, OFF",
        "ct-w3a16-dense3bit, compressed-tensors, 3, OFF",
        "awq-gemm, awq, 4, OFF",
        "ct-w8a8, compressed-tensors-int8, 8, OFF",
        "ct-nvfp4, compressed-tensors-nvfp4, 4, OFF",
        "ct-mxfp4a16, compressed-tensors-mxfp4, 4, OFF",
        "ct-fp8-dynamic, compressed-tensors-fp8, 8, OFF",
        "fp8-block, fp8, 8, OFF",
    })
    void is_read_as_its_tool_meant_it(String checkpoint, String name, int bits, ColumnOrder order) throws Exception {
        Path directory = Path.of(System.getProperty("quern.shared", "../shared"), "interop", "known-good", checkpoint);
        assumeTrue(Files.exists(directory), () -> "no known-good checkpoint at " + directory + ": set -Dquern.shared");
        JsonNode config = JSON.readTree(directory.resolve("config.json").toFile());
        @SuppressWarnings("unchecked")
        Map<String, Object> block = JSON.convertValue(config.get("quantization_config"), Map.class);
        JsonNode expected =
                JSON.readTree(directory.resolve("expected/sha256.json").toFile());
        Checkpoint tensors = Checkpoint.open(new LocalStore(directory));

        Format format = Formats.of(block, DType.BF16);
        Scheme scheme = format.schemes(block, DType.BF16).usual();

        assertThat(format.name()).isEqualTo(name);
        assertThat(scheme.bits()).isEqualTo(bits);
        assertThat(scheme.order()).isEqualTo(order);
        assertThat(expected.get("quantized_modules")).hasSizeGreaterThanOrEqualTo(5);
        for (JsonNode module : expected.get("quantized_modules")) {
            QuantizedLinear q = format.unpack(module.asText(), tensors, scheme);
            ByteBuffer values = HalfFloats.fromFloats(q.dequantize().values(), DType.F32);
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(values);
            assertThat(HexFormat.of().formatHex(digest.digest()))
                    .as(module.asText())
                    .isEqualTo(expected.at("/sha256_of_dequantized_f32/" + module.asText() + ".weight")
                            .asText());
            packsToTheSameBytes(format, module.asText(), tensors, q);
        }
    }

    /** Reading loses nothing: what is packed again is what stood in the file. */
    private static void packsToTheSameBytes(Format format, String linear, Checkpoint tensors, QuantizedLinear q)
            throws Exception {
        PackedTensors again = PackedTensors.of(format, linear, q);
        for (String tensor : again.names()) {
            if (tensors.names().contains(tensor)) {
                assertThat(again.spec(tensor)).isEqualTo(tensors.spec(tensor));
                assertThat(again.read(tensor)).as(tensor).isEqualTo(tensors.read(tensor));
            }
        }
    }
}
