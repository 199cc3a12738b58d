package quern.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import quern.store.Gguf;
import quern.store.LocalStore;

class MixtureTest {
    /** A file of llama.cpp's own quantizer. */
    @Test
    void every_tensor_has_the_type_that_llama_cpp_gives_it() throws Exception {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good", "gguf");
        assumeTrue(Files.isDirectory(folder), () -> "no GGUF at " + folder + ": set -Dquern.shared");
        Gguf file = Gguf.read(new LocalStore(folder), "Q4_K_M.gguf");
        int layers = ((Long) file.metadata().get("llama.block_count")).intValue();
        int seen = 0;
        for (Gguf.Tensor tensor : file.tensors().values()) {
            String[] name = tensor.name().split("\\.");
            if (tensor.shape().size() == 1) {
                continue;
            }
            int inputs = tensor.shape().get(1).intValue();
            GgufType expected = switch (name[0]) {
                case "output" -> Mixture.Q4_K_M.head(inputs);
                case "token_embd" ->
                    file.tensors().containsKey("output.weight")
                            ? Mixture.Q4_K_M.embedding(inputs)
                            : Mixture.Q4_K_M.head(inputs);
                default ->
                    Mixture.Q4_K_M.of(
                            new Mixture.Place(name[2], inputs, Integer.parseInt(name[1]), layers, 2, 0, false));
            };
            assertThat(expected.number()).as(tensor.name()).isEqualTo(tensor.type());
            seen++;
        }
        assertThat(seen).isGreaterThan(7);
    }

    /** The table of a model of 32 layers whose heads are not shared, as {@code llama-quant.cpp} has it: how many of which. */
    @Test
    void the_mixtures_are_those_of_their_names() {
        Map.of(
                        Mixture.Q4_K_M, "Q4_K 16 Q6_K 16",
                        Mixture.Q4_K_S, "Q4_K 28 Q5_K 4",
                        Mixture.Q3_K_M, "Q4_K 30 Q5_K 2",
                        Mixture.Q3_K_L, "Q5_K 32",
                        Mixture.Q2_K, "Q3_K 32",
                        Mixture.Q5_K_S, "Q5_K 32")
                .forEach((mixture, counts) -> {
                    assertThat(counts(mixture, "attn_v")).as(mixture.name()).isEqualTo(counts);
                    assertThat(counts(mixture, "ffn_down")).as(mixture.name()).isEqualTo(counts);
                });
        assertThat(counts(Mixture.Q3_K_M, "attn_output")).isEqualTo("Q4_K 32");
        assertThat(counts(Mixture.Q4_K_M, "attn_output")).isEqualTo("Q4_K 32");
        assertThat(counts(Mixture.Q2_K, "ffn_gate")).isEqualTo("Q2_K 32");
    }

    private static String counts(Mixture mixture, String role) {
        Map<String, Integer> counts = new TreeMap<>();
        for (int layer = 0; layer < 32; layer++) {
            GgufType type = mixture.of(new Mixture.Place(role, 4096, layer, 32, 1, 0, true));
            counts.merge(type.name(), 1, Integer::sum);
        }
        return counts.toString().replaceAll("[{},]", "").replace('=', ' ');
    }

    @Test
    void rows_that_are_no_whole_blocks_get_another_type() {
        Mixture.Place narrow = new Mixture.Place("attn_q", 896, 0, 24, 7, 0, true);
        assertThat(Mixture.Q4_K_M.of(narrow)).isEqualTo(GgufType.Q5_0);
        assertThat(Mixture.Q3_K_M.of(narrow)).isEqualTo(GgufType.Q4_0);
        assertThat(Mixture.IQ4_XS.of(narrow)).isEqualTo(GgufType.IQ4_NL);
        assertThat(Mixture.Q6_K.head(896)).isEqualTo(GgufType.Q8_0);
        assertThat(Mixture.Q4_0.of(new Mixture.Place("attn_q", 40, 0, 24, 7, 0, true)))
                .isEqualTo(GgufType.F16);
    }
}
