package quern.app;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.RandomAccessFile;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.cli.Main;
import quern.demo.Demo;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSpec;

/** What a user can get wrong: one sentence, exit code 2, nothing written, the source as it was. */
class BadInputTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static Application application;

    @TempDir
    Path folder;

    private Path model;
    private Path out;

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

    @BeforeEach
    void copyTheDemo() throws IOException {
        Path demo = Demo.unpackTo(folder.resolve("cache"));
        model = folder.resolve("model");
        Files.createDirectory(model);
        try (Stream<Path> files = Files.list(demo)) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        out = folder.resolve("out");
    }

    @Test
    void aPathThatIsNotThere() throws IOException {
        refused("there is no such folder", folder.resolve("nowhere").toString());
    }

    @Test
    void aModelTypeThatIsNotKnown() throws IOException {
        config(c -> c.put("model_type", "lama"));
        refused("nearest is llama (known are bloom, cohere,", model.toString());
    }

    @Test
    void aConfigWithoutAField() throws IOException {
        config(c -> c.remove("num_attention_heads"));
        refused("num_attention_heads", model.toString());
    }

    @Test
    void aConfigThatIsNotJson() throws IOException {
        Files.writeString(model.resolve("config.json"), "{\"model_type\": ");
        refused("config.json", model.toString());
    }

    @Test
    void aTruncatedShard() throws IOException {
        try (RandomAccessFile file =
                new RandomAccessFile(model.resolve("model.safetensors").toFile(), "rw")) {
            file.setLength(file.length() / 2);
        }
        refused("model.safetensors", model.toString());
    }

    @Test
    void aTensorThatIsMissing() throws IOException {
        tensors(t -> t.remove("model.layers.2.mlp.up_proj.weight"));
        refused("model.layers.2.mlp.up_proj.weight", model.toString());
    }

    @Test
    void aTensorOfAnotherShape() throws IOException {
        config(c -> c.put("intermediate_size", 512));
        refused("mlp", model.toString());
    }

    @Test
    void aWeightThatIsNotANumber() throws IOException {
        try (RandomAccessFile file =
                new RandomAccessFile(model.resolve("model.safetensors").toFile(), "rw")) {
            file.seek(file.length() - 300_000); // in the middle of a linear or the embedding
            for (int i = 0; i < 100_000; i++) {
                file.write(0xff);
            }
        }
        refused("NaN", model.toString());
    }

    @Test
    void noTokenizer() throws IOException {
        Files.delete(model.resolve("tokenizer.json"));
        refused("tokenizer.json", model.toString());
    }

    @Test
    void aTextShorterThanAWindow() throws IOException {
        Path text = folder.resolve("short.txt");
        Files.writeString(text, "Once upon a time.\n");
        refused("tokens", model.toString(), "--calibration", text.toString());
    }

    @Test
    void noText() throws IOException {
        refused(
                "nothing.txt",
                model.toString(),
                "--calibration",
                folder.resolve("nothing.txt").toString());
    }

    @Test
    void aGroupSizeThatDoesNotDivide() throws IOException {
        refused("(use 8, 16, 32, 64, 128, 256, or -1 for whole rows)", model.toString(), "--group-size", "96");
    }

    @Test
    void anOutputFolderThatIsNotOurs() throws IOException {
        Files.createDirectory(out);
        Files.writeString(out.resolve("thesis.tex"), "dear");
        refused("it is not empty and not a run of quern's", model.toString());
        assertThat(out.resolve("thesis.tex")).hasContent("dear");
    }

    @Test
    void anOutputFolderThatCannotBeMade() throws IOException {
        Files.writeString(out, "a file where the folder should be");
        refused("out", model.toString());
    }

    @Test
    void aSourceThatIsQuantizedAlready() throws IOException {
        config(c ->
                c.putObject("quantization_config").put("quant_method", "gptq").put("bits", 4));
        refused("quantized", model.toString());
    }

    @Test
    void aRunToResumeThatIsNotThere() throws IOException {
        refused("there is no run", model.toString(), "--resume");
    }

    @Test
    void windowsLongerThanTheModel() throws IOException {
        refused("--seqlen 512 or less", model.toString(), "--seqlen", "4096");
    }

    @Test
    void moreStagesThanLayers() throws IOException {
        refused("4 layers into 9 stages", model.toString(), "--stages", "9");
    }

    @Test
    void aFormatForTheExpertsOfAnotherFamily() throws IOException {
        refused("replace the experts of gpt_oss", model.toString(), "--format", "mxfp4");
    }

    /** Runs quantize with these arguments; expects a refusal that says so. */
    private void refused(String saying, String... arguments) throws IOException {
        Map<String, Long> before = files();
        List<String> args = new ArrayList<>(List.of("quantize"));
        args.addAll(List.of(arguments));
        args.addAll(List.of("--out", out.toString()));
        if (!args.contains("--calibration")) {
            Path text = folder.resolve("text.txt");
            if (!Files.exists(text)) {
                Files.write(text, Demo.calibrationStories().subList(0, 40));
                before = files();
            }
            args.addAll(List.of("--calibration", text.toString()));
        }
        args.addAll(List.of("--samples", "4"));
        StringWriter said = new StringWriter();
        int code = Main.run(
                args.toArray(String[]::new),
                () -> application,
                new PrintWriter(said, true),
                new PrintWriter(said, true));
        String sentence = said.toString().strip();
        assertThat(sentence)
                .startsWith("Cannot ")
                .contains(saying)
                .hasLineCount(1)
                .endsWith(")");
        assertThat(code).isEqualTo(2);
        Map<String, Long> after = files();
        if (saying.equals("NaN")) { // found on the way; what a run leaves then lies in its own folder, for quern clean
            after.keySet().removeIf(file -> file.startsWith("out/_quern/"));
        }
        assertThat(after).isEqualTo(before);
    }

    /** Every file but the demo's cache, with its length and time. */
    private Map<String, Long> files() throws IOException {
        Map<String, Long> files = new TreeMap<>();
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path file : all.filter(Files::isRegularFile).toList()) {
                files.put(
                        folder.relativize(file) + " " + Files.size(file),
                        Files.getLastModifiedTime(file).toMillis());
            }
        }
        return files;
    }

    private void config(Consumer<ObjectNode> change) throws IOException {
        Path file = model.resolve("config.json");
        ObjectNode config = (ObjectNode) JSON.readTree(Files.readString(file));
        change.accept(config);
        Files.writeString(file, JSON.writeValueAsString(config));
    }

    private void tensors(Consumer<Map<String, TensorSpec>> change) throws IOException {
        LocalStore store = new LocalStore(model);
        Checkpoint checkpoint = Checkpoint.open(store);
        Map<String, TensorSpec> specs = new TreeMap<>();
        Map<String, java.nio.ByteBuffer> bytes = new HashMap<>();
        for (String name : checkpoint.names()) {
            specs.put(name, checkpoint.spec(name));
            bytes.put(name, checkpoint.read(name));
        }
        change.accept(specs);
        store.write(
                "model.safetensors",
                to -> SafetensorsWriter.writeBuffers(
                        to, List.copyOf(specs.values()), Map.of(), s -> bytes.get(s.name())));
    }
}
