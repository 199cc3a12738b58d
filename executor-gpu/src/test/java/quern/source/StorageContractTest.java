package quern.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.Seeds;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Checkpoints of other tools, against hashes of what an independent script dequantized them to, and the model they came from. */
class StorageContractTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Path KNOWN_GOOD =
            Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good");

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "gptq-4bit-sym-v1         | gptq, 4 bits in groups of 32",
                "gptq-4bit-asym-v1        | gptq, 4 bits in groups of 32",
                "gptq-4bit-asym-v2        | gptq_v2, 4 bits in groups of 32",
                "gptq-4bit-sym-descact-v1 | gptq, 4 bits in groups of 32",
                "gptq-3bit-asym-v2        | gptq_v2, 3 bits in groups of 64",
                "gptq-8bit-sym-v1         | gptq, 8 bits in groups of 128",
                "ar-gptq-sym              | autoround, 4 bits in groups of 32",
                "ar-plain-asym            | autoround, 4 bits in groups of 32",
                "ao-int8wo                | torchao-int8, 8 bits in groups of a whole row",
                "ao-intx4                 | torchao, 4 bits in groups of 32",
                "quanto-qint8             | quanto-int8, 8 bits in groups of a whole row",
                "awq-gemm                 | awq, 4 bits in groups of 32",
                "ct-w4a16                 | compressed-tensors, 4 bits in groups of 128",
                "ct-w4a16-asym            | compressed-tensors, 4 bits in groups of 128",
                "ct-w3a16-dense3bit       | compressed-tensors, 3 bits in groups of 128",
                "ct-w8a8                  | compressed-tensors, 8-bit integers with a scale a row",
                "ct-fp8-static            | compressed-tensors, 8-bit floats with one scale",
                "ct-fp8-dynamic           | compressed-tensors, 8-bit floats with a scale a row",
                "ct-fp8-block             | compressed-tensors, 8-bit floats in blocks of 128 x 128, 8-bit floats with one scale",
                "fp8-block                | fp8, 8-bit floats in blocks of 128 x 128, 8-bit floats with one scale",
                "ct-mxfp4a16              | compressed-tensors-mxfp4, 4 bits in groups of 32",
                "ct-nvfp4                 | compressed-tensors-nvfp4, 4 bits in groups of 16",
                "bnb-nf4                  | bitsandbytes-nf4, 4 bits in groups of 64",
                "bnb-nf4-dq               | bitsandbytes-nf4-nested, 4 bits in groups of 64",
                "bnb-fp4                  | bitsandbytes-fp4, 4 bits in groups of 64",
            })
    void is_shown_as_the_model_that_it_stands_for(String checkpoint, String description) throws Exception {
        Source source = open(checkpoint);
        TensorSource original = open("source").tensors();
        JsonNode expected = JSON.readTree(
                KNOWN_GOOD.resolve(checkpoint).resolve("expected/sha256.json").toFile());

        assertThat(source.lossy()).isEqualTo(description);
        assertThat(source.tensors().names()).containsExactlyInAnyOrderElementsOf(original.names());
        for (String name : original.names()) {
            TensorSpec spec = source.tensors().spec(name);
            assertThat(spec.shape()).as(name).isEqualTo(original.spec(name).shape());
            // The script rounds these to the type that they were quantized from, as the loader does.
            DType type = checkpoint.startsWith("bnb") ? DType.BF16 : DType.F32;
            assertThat(sha256(source.tensors(), spec, type))
                    .as(name)
                    .isEqualTo(expected.at("/sha256_of_dequantized_f32/" + name).asText());
            slicesAreThoseOfTheWhole(source.tensors(), spec);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"hqq-4bit-a1", "quanto-qint4"})
    void another_way_of_storing_is_refused(String checkpoint) {
        assertThatThrownBy(() -> open(checkpoint))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot read the weights of ")
                .hasMessageContaining("(use the original model, or one in gptq, ");
    }

    private static Source open(String checkpoint) throws IOException {
        Path folder = KNOWN_GOOD.resolve(checkpoint);
        assumeTrue(Files.isDirectory(folder), () -> "no known-good checkpoint at " + folder + ": set -Dquern.shared");
        JsonNode block = JSON.readTree(folder.resolve("config.json").toFile()).get("quantization_config");
        @SuppressWarnings("unchecked")
        Map<String, Object> quantization = block == null ? null : JSON.convertValue(block, Map.class);
        return Source.open(new LocalStore(folder), quantization, false);
    }

    private static void slicesAreThoseOfTheWhole(TensorSource tensors, TensorSpec spec) throws IOException {
        Random random = Seeds.random();
        ByteBuffer whole = tensors.read(spec.name());
        for (int i = 0; i < 20; i++) {
            int from = random.nextInt((int) spec.bytes());
            int length = random.nextInt((int) spec.bytes() - from) + 1;
            assertThat(tensors.read(spec.name(), from, length)).isEqualTo(whole.slice(from, length));
        }
        int last = (int) spec.bytes() - 3;
        assertThat(tensors.read(spec.name(), last, 3)).isEqualTo(whole.slice(last, 3));
        assertThatThrownBy(() -> tensors.read(spec.name(), last, 4)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    private static String sha256(TensorSource tensors, TensorSpec spec, DType type) throws Exception {
        float[] values = HalfFloats.toFloats(tensors.read(spec.name()), spec.dtype(), (int) spec.elements());
        for (int i = 0; i < values.length; i++) {
            values[i] = HalfFloats.round(values[i], type);
        }
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        digest.update(HalfFloats.fromFloats(values, DType.F32));
        return HexFormat.of().formatHex(digest.digest());
    }
}
