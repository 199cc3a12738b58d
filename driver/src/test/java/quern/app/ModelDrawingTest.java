package quern.app;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.model.Model;
import quern.store.LocalStore;

class ModelDrawingTest {
    private static final Path DEMO = Path.of("src", "main", "resources", "quern", "demo", "quern-stories-4m");
    private static final Path FAMILIES = Path.of("..", "executor-gpu", "src", "test", "resources", "architectures");

    /** The demo by hand: 4 equal layers, 2 x 256 x 256 + 2 x 128 x 256 + 3 x 768 x 256 weights each, in two bytes. */
    @Test
    void the_demo_is_drawn() throws IOException {
        List<String> lines = drawn(DEMO);
        System.out.println(String.join("\n", lines));
        assertThat(squeezed(lines))
                .contains(
                        "model.embed_tokens 2048 x 256 524 k 1.0 MiB kept: the embedding is looked up, and it is the head",
                        "layers 0-3 787 k 1.5 MiB each of 4",
                        "input of 256: one Hessian",
                        "self_attn.k_proj 128 x 256 32.8 k 64.0 KiB to quantize",
                        "mlp.down_proj 256 x 768 197 k 384.0 KiB to quantize",
                        "3.67 M parameters, 7.0 MiB; 28 linears of the layers hold 3.15 M of them (85.7 %)");
        assertThat(lines.stream().filter(line -> line.contains("q_proj"))).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"gemma3-whole", "qwen2_5_vl", "gpt2-by-layer", "opt-after", "falcon-rw", "gpt_neox-sequential"})
    void every_linear_is_drawn_once_and_every_line_fits(String family) throws IOException {
        Model model = Model.open(new LocalStore(FAMILIES.resolve(family)));
        List<String> lines = drawn(FAMILIES.resolve(family));
        System.out.println(family + "\n" + String.join("\n", lines));
        String drawing = String.join("\n", lines);
        model.sites(0)
                .forEach(site -> site.linears()
                        .forEach(linear -> assertThat(drawing)
                                .containsOnlyOnce(" " + linear.name().replaceFirst("^.*?\\.0\\.", "") + " ")));
        assertThat(lines).allSatisfy(line -> assertThat(line).hasSizeLessThan(140));
        if (family.equals("gemma3-whole")) {
            assertThat(drawing).contains("beside the language model").contains("vision_tower");
        }
    }

    @Test
    void what_is_quantized_already_is_told_from_what_was_kept() throws IOException {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good", "fp8-block");
        assumeTrue(Files.isDirectory(folder), "needs interop/known-good of the shared test data, see -Dquern.shared");
        // Blocks of 128 fit q (128 x 128), and not k and v (64 x 128).
        assertThat(squeezed(drawn(folder)))
                .contains(
                        "self_attn.q_proj 128 x 128 16.4 k 16.0 KiB quantized",
                        "self_attn.k_proj 64 x 128 8.19 k 16.0 KiB kept");
    }

    private static List<String> drawn(Path folder) throws IOException {
        return ModelDrawing.lines(Model.open(new LocalStore(folder)));
    }

    private static List<String> squeezed(List<String> lines) {
        return lines.stream().map(line -> line.strip().replaceAll(" +", " ")).toList();
    }
}
