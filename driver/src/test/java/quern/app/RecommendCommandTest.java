package quern.app;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.cli.Main;

/** The command as it is typed: without Spark, exit code 2 and one sentence for what can be mended. */
class RecommendCommandTest {
    @Test
    void the_demo_fits_and_the_command_for_it_stands_last() {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        PrintStream usual = System.out;
        System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
        try {
            assertThat(quern("recommend demo --gpu L4 --server transformers")).isEqualTo("0 ");
        } finally {
            System.setOut(usual);
        }
        assertThat(said.toString(StandardCharsets.UTF_8))
                .contains("llama, 4 layers")
                .contains("for one sequence of 512 tokens") // its positions
                .containsPattern("> \\S+, 8 bits.* KL 0\\.0000")
                .endsWith("  quern quantize demo --out demo-gptq-w8 --format gptq --bits 8\n");
    }

    @ParameterizedTest
    @CsvSource({
        "--server vllm, without knowing the memory: give either --gpu NAME or --memory SIZE",
        "--gpu H100 --memory 5GB --server vllm, give either --gpu NAME or --memory SIZE",
        "--gpu H100, without knowing what runs the model: give --server",
        "--gpu H1000 --server vllm, 'it is unknown, nearest is H100'",
        "--gpu H100 --server triton, it is unknown (use one of",
        "--memory 24 --server vllm, 'Cannot fit demo into 0.00 MB for vLLM'",
        "--memory lots --server vllm, it is not a size",
        "--gpu H100 --server vllm --quality good, 'it is best, or a KL divergence'",
        "--gpu H100 --server vllm --context 0, it counts something",
        "--gpu H100 --server vllm --context 4096, the model has 512 positions (use --context 512 or less)",
        "--gpu H100 --server llama.cpp --quality 0.00000001, ''",
    })
    void what_can_be_mended_is_one_sentence(String options, String says) {
        assertThat(quern("recommend demo " + options))
                .startsWith("2 Cannot ")
                .contains(says)
                .satisfies(s -> assertThat(s.strip().lines()).hasSize(1));
    }

    private static String quern(String words) {
        StringWriter said = new StringWriter();
        PrintWriter err = new PrintWriter(said, true);
        try (Application application = new Application()) {
            int code = Main.run(words.split(" "), () -> application, err, err);
            return code + " " + said;
        }
    }
}
