package quern.app;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.cli.Main;
import quern.model.Model;
import quern.store.LocalStore;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;

/** Checkpoints that other tools wrote, in other formats: the weights that they stand for are compared one by one. */
class ConvertTest {
    private static final Path KNOWN_GOOD =
            Path.of(System.getProperty("quern.shared", "../../shared"), "interop", "known-good");
    private static Application application;

    @TempDir
    Path folder;

    @BeforeAll
    static void begin() {
        System.setProperty("spark.master", "local[1]");
        System.setProperty("spark.ui.enabled", "false");
        application = new Application();
    }

    @AfterAll
    static void end() {
        application.close();
        System.clearProperty("spark.master");
        System.clearProperty("spark.ui.enabled");
    }

    @ParameterizedTest
    @CsvSource({
        "gptq-4bit-sym-v1, gptq_v2, 0",
        "gptq-4bit-sym-v1, awq, 0",
        "gptq-4bit-sym-v1, compressed-tensors, 0",
        "gptq-4bit-sym-descact-v1, compressed-tensors, 0",
        "gptq-4bit-asym-v1, awq, 0",
        "gptq-4bit-asym-v2, hqq, 0",
        "gptq-3bit-asym-v2, gptq, 0",
        "gptq-8bit-sym-v1, compressed-tensors, 0",
        "awq-gemm, gptq_v2, 0",
        "awq-gemm, compressed-tensors, 0",
        "ct-w4a16, gptq, 0",
        "ct-w4a16-asym, awq, 0",
        "ct-w8a8, gptq, 0",
        "bnb-nf4-dq, bitsandbytes-nf4, 0",
        "bnb-int8, compressed-tensors-int8, 0x1p-20",
        "ar-gptq-sym, gptq, 0",
    })
    void the_weights_are_those_of_the_source(String checkpoint, String format, String bound) throws Exception {
        Path source = KNOWN_GOOD.resolve(checkpoint);
        assumeTrue(Files.isDirectory(source), () -> "needs " + source + ", see -Dquern.shared");
        Path out = folder.resolve("out");

        assertThat(quern("convert", source.toString(), "--format", format, "--out", out.toString()))
                .isEmpty();

        assertThat(out.resolve("quern.json")).exists();
        assertThat(out.resolve("_quern")).doesNotExist();
        assertThat(quern("verify", out.toString())).isEmpty();
        TensorSource before = Model.open(new LocalStore(source)).tensors();
        TensorSource after = Model.open(new LocalStore(out)).tensors();
        assertThat(after.names()).isEqualTo(before.names());
        for (String name : before.names()) {
            float[] a = floats(before, name);
            float[] b = floats(after, name);
            double most = Double.parseDouble(bound);
            for (int i = 0; i < a.length; i++) {
                assertThat(Math.abs(a[i] - (double) b[i])).as(name).isLessThanOrEqualTo(most * Math.abs(a[i]));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "gptq-4bit-sym-descact-v1, awq, 'no place for the order of full act-order'",
        "gptq-4bit-sym-v1, bitsandbytes-nf4, 'chooses codes anew'",
        "gptq-4bit-sym-v1, gguf-q4_0, 'codes would have to be chosen anew (use quern quantize)'",
        "bnb-nf4, gptq, 'no codes that stand for the same values'",
        "source, gptq, 'it is not quantized (quern quantize would do)'",
        "quanto-qint8, gptq, 'Cannot '",
        "gguf, gptq, 'of Q4_K, whose scales are multiples of a unit of their block, which no other format has'",
        "gptq-4bit-sym-v1, gguf_v9, 'it is unknown (use one of gptq,'",
    })
    void what_has_no_place_is_refused_and_nothing_is_left(String checkpoint, String format, String says)
            throws Exception {
        Path source = KNOWN_GOOD.resolve(checkpoint);
        assumeTrue(Files.isDirectory(source), () -> "needs " + source + ", see -Dquern.shared");
        Path out = folder.resolve("out");

        assertThat(quern("convert", source.toString(), "--format", format, "--out", out.toString()))
                .startsWith("2 Cannot ")
                .contains(says);
        assertThat(out.resolve("config.json")).doesNotExist();
    }

    @Test
    void a_gguf_file_becomes_a_checkpoint_of_the_same_weights() throws Exception {
        Path source = folder.resolve("source");
        Path out = folder.resolve("out");
        assertThat(quern("quantize", "demo", "--format", "gguf-q4_0", "--method", "rtn", "--out", source.toString()))
                .isEmpty();
        assertThat(quern("convert", source.toString(), "--format", "gptq", "--out", out.toString()))
                .isEmpty();

        assertThat(quern("verify", out.toString())).isEmpty();
        TensorSource before = Model.open(new LocalStore(source)).tensors();
        TensorSource after = Model.open(new LocalStore(out)).tensors();
        assertThat(after.names()).isEqualTo(before.names());
        for (String name : before.names()) {
            float[] shown = floats(after, name);
            for (int i = 0; i < shown.length; i++) { // as those of the file are
                shown[i] = HalfFloats.round(shown[i], before.spec(name).dtype());
            }
            assertThat(shown).as(name).containsExactly(floats(before, name), within(0f));
        }
    }

    /** Empty where it is done, else the exit code and what was said. */
    private static String quern(String... words) {
        StringWriter said = new StringWriter();
        PrintWriter err = new PrintWriter(said, true);
        int code = Main.run(words, () -> application, err, err);
        return code == 0 ? "" : code + " " + said;
    }

    private static float[] floats(TensorSource tensors, String name) throws IOException {
        return HalfFloats.toFloats(
                tensors.read(name),
                tensors.spec(name).dtype(),
                Math.toIntExact(tensors.spec(name).elements()));
    }
}
