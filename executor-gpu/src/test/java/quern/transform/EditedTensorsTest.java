package quern.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.model.References;
import quern.tensor.TensorSource;

/** Who reads a tensor in slices sees what one sees who reads it as a whole. */
class EditedTensorsTest {
    private static final String NAME = "model.layers.0.mlp.down_proj.weight";

    private final Random random = Seeds.random();

    private static TensorSource stored() throws IOException {
        References llama = References.own().stream()
                .filter(reference -> reference.name().equals("granite"))
                .findFirst()
                .orElseThrow();
        return quern.store.Checkpoint.open(llama.model("config.json"));
    }

    @Test
    void slices_are_slices_of_the_whole() throws IOException {
        TensorSource stored = stored();
        int rows = Math.toIntExact(stored.spec(NAME).shape().get(0));
        int cols = Math.toIntExact(stored.spec(NAME).shape().get(1));
        float[] ofRows = new float[rows];
        for (int r = 0; r < rows; r++) {
            ofRows[r] = 1 + r;
        }
        List<Edit> byRows = List.of(Edit.timesRows(() -> ofRows), Edit.turnRows(new Rotation(cols, 1)));
        List<Edit> mixed = List.of(Edit.turnColumns(new Rotation(rows, 2)), Edit.timesRows(() -> ofRows));
        for (List<Edit> edits : List.of(byRows, mixed)) {
            EditedTensors tensors = new EditedTensors(stored, Map.of(NAME, edits), Map.of());
            ByteBuffer whole = tensors.read(NAME);
            assertThat(whole).isNotEqualTo(stored.read(NAME));
            for (int i = 0; i < 20; i++) {
                int from = random.nextInt(whole.remaining());
                int length = random.nextInt(whole.remaining() - from + 1);
                assertThat(tensors.read(NAME, from, length)).isEqualTo(whole.slice(from, length));
            }
            assertThatThrownBy(() -> tensors.read(NAME, 1, whole.remaining()))
                    .isInstanceOf(IndexOutOfBoundsException.class)
                    .hasMessageContaining(NAME);
        }
    }

    @Test
    void a_copy_has_edits_of_its_own() throws IOException {
        TensorSource stored = stored();
        EditedTensors tensors = new EditedTensors(stored, Map.of("head", List.of(Edit.fill(1))), Map.of("head", NAME));
        assertThat(tensors.names()).contains("head").hasSize(stored.names().size() + 1);
        assertThat(tensors.spec("head").shape()).isEqualTo(stored.spec(NAME).shape());
        assertThat(tensors.read(NAME)).isEqualTo(stored.read(NAME));
        assertThat(tensors.read("head")).isNotEqualTo(stored.read(NAME));
    }
}
