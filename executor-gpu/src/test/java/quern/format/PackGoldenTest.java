package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** Linears that {@code src/test/python/golden.py} had a tool store: read as its formula reads them, and packed to the same bytes. */
class PackGoldenTest {
    private static final String LINEAR = "linear";

    @ParameterizedTest
    @CsvSource({
        "quanto-int4, quanto-int4, 4",
        "quanto-int4-96, quanto-int4, 4",
        "quanto-int4-rows, quanto-int4, 4",
        "quanto-int2, quanto-int2, 2",
        "quanto-int8, quanto-int8, 8",
        "quanto-fp8, quanto-fp8, 8",
        "torchao-fp8, torchao-fp8, 8",
        "fbgemm-fp8, fbgemm-fp8, 8",
        "eetq, eetq, 8",
    })
    void what_a_tool_stored_is_read_and_packed_alike(String golden, String name, int bits) throws Exception {
        Checkpoint stored = golden(golden);
        Format format = Formats.named(name);
        DType weights = stored.spec("linear.weight").dtype();

        QuantizedLinear q = format.unpack(LINEAR, stored, format.scheme(format.settled(Recipe.OPEN), weights));

        assertThat(q.scheme().bits()).isEqualTo(bits);
        float[] expected = HalfFloats.toFloats(stored.read("linear.dequantized"), DType.F32, q.outputs() * q.inputs());
        assertThat(q.dequantize().values()).containsExactly(expected, within(1e-6f));
        PackedTensors again = PackedTensors.of(format, LINEAR, q);
        for (String tensor : again.names()) {
            assertThat(again.spec(tensor)).isEqualTo(stored.spec(tensor));
            assertThat(again.read(tensor)).as(tensor).isEqualTo(stored.read(tensor));
        }
    }

    /** Of which each is a slice: what transformers makes of it. */
    @ParameterizedTest
    @CsvSource("mxfp4, mxfp4, 4")
    void an_expert_is_read_as_transformers_reads_it_and_packed_alike(String golden, String name, int bits)
            throws Exception {
        Checkpoint stored = golden(golden);
        Format format = Formats.named(name);
        Scheme scheme = format.scheme(format.settled(Recipe.OPEN), DType.BF16);
        assertThat(scheme.bits()).isEqualTo(bits);
        String expert = "linear.experts.1";

        QuantizedLinear q = format.unpack(expert, stored, scheme);

        assertThat(q.dequantize().values())
                .isEqualTo(HalfFloats.toFloats(stored.read("linear.weight"), DType.F32, 48 * 64));
        PackedTensors again = PackedTensors.of(format, expert, q);
        for (String suffix : List.of("blocks", "scales")) {
            ByteBuffer whole = stored.read("linear.experts_" + suffix);
            int half = whole.remaining() / 2;
            assertThat(again.read(expert + "." + suffix)).isEqualTo(whole.slice(whole.position() + half, half));
        }
        assertThatThrownBy(() -> format.unpack("linear.experts.2", stored, scheme))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith(
                        "Cannot read linear.experts_blocks: it is U8 [2, 48, 2, 16], which has no expert 2");
    }

    private static Checkpoint golden(String name) throws Exception {
        URL folder = Objects.requireNonNull(PackGoldenTest.class.getResource("/golden/" + name));
        return Checkpoint.open(new LocalStore(Path.of(folder.toURI())));
    }
}
