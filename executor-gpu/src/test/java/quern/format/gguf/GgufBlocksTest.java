package quern.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** Blocks that libggml wrote, and what another decoder made of them. */
class GgufBlocksTest {
    @ParameterizedTest
    @EnumSource(
            value = GgufType.class,
            names = {"F32", "F16", "BF16"},
            mode = EnumSource.Mode.EXCLUDE)
    void are_decoded_to_the_bit(GgufType type) throws Exception {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good", "gguf");
        assumeTrue(Files.isDirectory(folder), () -> "no blocks at " + folder + ": set -Dquern.shared");
        Checkpoint blocks = Checkpoint.file(new LocalStore(folder), "blocks.safetensors");
        var bytes = blocks.read(type + ".bytes").order(ByteOrder.LITTLE_ENDIAN);
        float[] expected = HalfFloats.toFloats(blocks.read(type + ".values"), DType.F32, 4 * 256);

        assertThat((long) bytes.remaining()).isEqualTo(type.bytes(4 * 256));
        assertThat(type.decode(bytes, 4 * 256)).isEqualTo(expected);
    }
}
