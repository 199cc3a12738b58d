package quern.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Objects;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
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
        "eetq, eetq, 8",
    })
    void what_a_tool_stored_is_read_and_packed_alike(String golden, String name, int bits) throws Exception {
        Path folder = Path.of(Objects.requireNonNull(PackGoldenTest.class.getResource("/golden/" + golden))
                .toURI());
        Checkpoint stored = Checkpoint.open(new LocalStore(folder));
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
}
