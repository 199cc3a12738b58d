package quern.device.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CoreCachesTest {
    @TempDir
    Path folder;

    @Test
    void the_data_caches_of_a_core_are_named_by_level() throws IOException {
        cache("index0", "1", "Data", "48K");
        cache("index1", "1", "Instruction", "32K");
        cache("index2", "2", "Unified", "2048K");
        cache("index3", "3", "Unified", "107520K");
        assertThat(CoreCaches.of(folder)).isEqualTo("l1-48K-l2-2048K");
    }

    @Test
    void where_nothing_is_told_they_are_unknown() throws IOException {
        assertThat(CoreCaches.of(folder)).isEqualTo("caches-unknown");
        assertThat(CoreCaches.of(folder.resolve("missing"))).isEqualTo("caches-unknown");
        cache("index0", "no number", "Data", "48K");
        assertThat(CoreCaches.of(folder)).isEqualTo("caches-unknown");
    }

    private void cache(String index, String level, String type, String size) throws IOException {
        Path cache = Files.createDirectories(folder.resolve(index));
        Files.writeString(cache.resolve("level"), level + "\n");
        Files.writeString(cache.resolve("type"), type + "\n");
        Files.writeString(cache.resolve("size"), size + "\n");
    }
}
