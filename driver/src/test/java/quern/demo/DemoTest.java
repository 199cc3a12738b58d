package quern.demo;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DemoTest {
    @TempDir
    Path cache;

    @Test
    void the_model_unpacks_whole_and_leaves_nothing_beside_it() throws Exception {
        Path model = Demo.unpackTo(cache.resolve("a b"));
        byte[] weights = Files.readAllBytes(model.resolve("model.safetensors"));
        assertThat(HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(weights)))
                .isEqualTo("248d90e11a72cdc213be86f73b56be4af3936a5ce219a39df2dff4e81c16f663");
        assertThat(model.resolve("config.json")).exists();
        assertThat(model.resolve("tokenizer.json")).exists();
        assertThat(names(model.getParent())).containsExactly("quern-stories-4m");
    }

    @Test
    void an_incomplete_copy_is_replaced_and_a_good_one_kept() throws IOException {
        Path model = Demo.unpackTo(cache);
        var first = Files.getLastModifiedTime(model.resolve("config.json"));
        assertThat(Demo.unpackTo(cache)).isEqualTo(model);
        assertThat(Files.getLastModifiedTime(model.resolve("config.json"))).isEqualTo(first);
        Files.write(model.resolve("model.safetensors"), new byte[100]);
        assertThat(Files.size(Demo.unpackTo(cache).resolve("model.safetensors")))
                .isEqualTo(7_348_736);
        assertThat(names(cache)).containsExactly("quern-stories-4m");
    }

    @Test
    void several_at_once_all_find_it_whole() throws IOException {
        IntStream.range(0, 8).parallel().forEach(i -> {
            try {
                assertThat(Files.size(Demo.unpackTo(cache).resolve("model.safetensors")))
                        .isEqualTo(7_348_736);
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        assertThat(names(cache)).containsExactly("quern-stories-4m");
    }

    @Test
    void the_stories_are_there() {
        assertThat(Demo.calibrationStories()).hasSize(300);
        assertThat(Demo.evaluationStories()).hasSize(100);
    }

    private static Stream<String> names(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(f -> f.getFileName().toString()).toList().stream();
        }
    }
}
