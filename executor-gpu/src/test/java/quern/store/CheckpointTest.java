package quern.store;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.tensor.DType;
import quern.tensor.TensorSpec;

class CheckpointTest {
    private static final String INDEX = "model.safetensors.index.json";

    /** A file whose tensors are {@code U8} vectors of 4, filled with their number. */
    static byte[] shard(String... names) {
        try {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            List<TensorSpec> specs =
                    Arrays.stream(names).map(n -> TensorSpec.of(n, DType.U8, 4)).toList();
            SafetensorsWriter.write(out, specs, Map.of(), (spec, to) -> {
                byte[] bytes = new byte[4];
                Arrays.fill(bytes, (byte) spec.name().charAt(0));
                to.write(bytes);
            });
            return out.toByteArray();
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static byte[] index(String... tensorsAndFiles) {
        StringBuilder json = new StringBuilder("{\"metadata\": {\"total_size\": 12}, \"weight_map\": {");
        for (int i = 0; i < tensorsAndFiles.length; i += 2) {
            json.append(i == 0 ? "" : ", ")
                    .append('"')
                    .append(tensorsAndFiles[i])
                    .append("\": \"");
            json.append(tensorsAndFiles[i + 1].replace("\\", "\\\\")).append('"');
        }
        return json.append("}}").toString().getBytes(UTF_8);
    }

    private static MemoryStore twoShards() {
        return new MemoryStore()
                .put("m1.safetensors", shard("a", "b"))
                .put("m2.safetensors", shard("c"))
                .put(INDEX, index("a", "m1.safetensors", "c", "m2.safetensors", "b", "m1.safetensors"));
    }

    @Test
    void one_file_is_read_by_name_and_range() throws IOException {
        Checkpoint checkpoint = Checkpoint.open(new MemoryStore().put("model.safetensors", shard("a", "b")));
        assertThat(checkpoint.names()).containsExactly("a", "b");
        assertThat(checkpoint.files()).containsExactly("model.safetensors");
        assertThat(checkpoint.spec("b")).isEqualTo(TensorSpec.of("b", DType.U8, 4));
        assertThat(checkpoint.read("b")).isEqualTo(ByteBuffer.wrap(new byte[] {'b', 'b', 'b', 'b'}));
        assertThat(checkpoint.read("a", 3, 1)).isEqualTo(ByteBuffer.wrap(new byte[] {'a'}));
        assertThat(checkpoint.read("a", 4, 0).remaining()).isZero();
        assertThatThrownBy(() -> checkpoint.read("a", 3, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> checkpoint.read("a", -1, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> checkpoint.spec("z")).isInstanceOf(NoSuchElementException.class);
    }

    @Test
    void shards_are_one_checkpoint() throws IOException {
        Checkpoint checkpoint = Checkpoint.open(twoShards());
        assertThat(checkpoint.names()).containsExactly("a", "b", "c");
        assertThat(checkpoint.files()).containsExactly("m1.safetensors", "m2.safetensors");
        assertThat(checkpoint.fileOf("c")).isEqualTo("m2.safetensors");
        assertThat(checkpoint.read("c")).isEqualTo(ByteBuffer.wrap(new byte[] {'c', 'c', 'c', 'c'}));
    }

    @Test
    void an_index_and_its_shards_must_agree() {
        refused(twoShards().put("m2.safetensors", shard("c", "a")), "m2.safetensors", "'a'", "m1.safetensors");
        refused(twoShards().put("m1.safetensors", shard("a", "b", "c")), "m2.safetensors", "'c'", "m1.safetensors");
        refused(twoShards().put("m2.safetensors", shard("d")), INDEX, "'c'", "m2.safetensors");
        refused(twoShards().put("m2.safetensors", shard("c", "d")), INDEX, "'d'", "m2.safetensors", "none");
        refused(
                twoShards().put(INDEX, index("a", "m1.safetensors", "b", "m2.safetensors", "c", "m2.safetensors")),
                "'b'",
                "m2.safetensors",
                "m1.safetensors");
        refused(
                twoShards().put(INDEX, index("a", "m1.safetensors", "b", "m1.safetensors", "c", "m3.safetensors")),
                "m3.safetensors",
                "missing");
        refused(twoShards().put(INDEX, index("a", "m1.safetensors", "a", "m1.safetensors")), "'a'", "two");
    }

    @Test
    void an_index_that_points_elsewhere_or_is_no_index_is_refused() {
        for (String file : List.of(
                "../m1.safetensors",
                "/etc/passwd",
                "a/../m1.safetensors",
                "..\\m.safetensors",
                "",
                "model.bin",
                "s3://x/y.safetensors")) {
            refused(twoShards().put(INDEX, index("a", file)), "'a'", "below the checkpoint's folder");
        }
        for (String json : List.of(
                "",
                "[]",
                "{}",
                "{\"weight_map\": {}}",
                "{\"weight_map\": []}",
                "{\"weight_map\": {\"a\": 1}}",
                "{\"weight_map\": {\"a\": \"m1.safetensors\"}, \"weight_map\": {}}",
                "{\"metadata\": " + "[".repeat(100_000),
                "{\"weight_map\": {\"a\": \"m1.safetensors\"}} x",
                "\u0000")) {
            refused(twoShards().put(INDEX, json.getBytes(UTF_8)), INDEX);
        }
        refused(twoShards().put(INDEX, new byte[] {'{', (byte) 0xff, '}'}), INDEX, "UTF-8");
    }

    @Test
    void where_there_is_no_safetensors_the_sentence_says_what_is_there() {
        assertSentence(new MemoryStore(), "no file");
        assertSentence(new MemoryStore().put("config.json", new byte[1]), "neither model.safetensors nor");
        assertSentence(new MemoryStore().put("pytorch_model.bin", new byte[1]), "save_pretrained");
        assertSentence(new MemoryStore().put("m.Q4_K_M.gguf", new byte[1]), "name that file");
        assertSentence(new MemoryStore().put("model-00001-of-00002.safetensors", new byte[1]), "with its index");
    }

    private static void assertSentence(BlobStore store, String says) {
        assertThatThrownBy(() -> Checkpoint.open(store))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot open the checkpoint memory: ")
                .hasMessageContaining(says);
    }

    private static void refused(BlobStore store, String... says) {
        assertThatThrownBy(() -> Checkpoint.open(store))
                .isInstanceOf(CorruptCheckpointException.class)
                .hasMessageStartingWith("Cannot read ")
                .message()
                .contains(says);
    }

    /** Jackson's tree of the header is the independent reading here. */
    @Test
    void real_models_are_read_as_their_headers_say() throws IOException {
        Path models = Path.of(System.getProperty("quern.shared", "../../shared"), "data", "models");
        assumeTrue(Files.isDirectory(models), () -> "no models at " + models + " (set -Dquern.shared)");
        List<Path> folders;
        try (Stream<Path> all = Files.list(models)) {
            folders = all.filter(f -> Files.exists(f.resolve("model.safetensors")))
                    .sorted()
                    .toList();
        }
        assumeTrue(!folders.isEmpty(), () -> "no model.safetensors below " + models);
        for (Path folder : folders) {
            Checkpoint checkpoint = Checkpoint.open(new LocalStore(folder));
            Path file = folder.resolve("model.safetensors");
            try (var in = new java.io.RandomAccessFile(file.toFile(), "r")) {
                byte[] json = new byte[(int) Long.reverseBytes(in.readLong())];
                in.readFully(json);
                JsonNode header = new ObjectMapper().readTree(json);
                assertThat(checkpoint.names()).hasSize(header.size() - (header.has("__metadata__") ? 1 : 0));
                for (String name : checkpoint.names()) {
                    JsonNode entry = header.get(name);
                    assertThat(checkpoint.spec(name).dtype().name())
                            .isEqualTo(entry.get("dtype").asText());
                    ByteBuffer bytes = checkpoint.read(name);
                    byte[] expected = new byte[Math.min(64, bytes.remaining())];
                    in.seek(8 + json.length + entry.get("data_offsets").get(0).asLong());
                    in.readFully(expected);
                    assertThat(bytes.slice(0, expected.length)).isEqualTo(ByteBuffer.wrap(expected));
                }
            }
        }
    }
}
