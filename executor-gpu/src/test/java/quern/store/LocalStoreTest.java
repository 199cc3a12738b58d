package quern.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalStoreTest extends BlobStoreContract {
    @TempDir
    Path folder;

    @Override
    protected BlobStore emptyStore() {
        return new LocalStore(folder.resolve("store"));
    }

    @Test
    void a_failed_write_leaves_no_file_of_any_name() throws IOException {
        assertThatThrownBy(() -> emptyStore().write("x", out -> {
                    throw new IOException("no");
                }))
                .isInstanceOf(IOException.class);
        try (Stream<Path> files = Files.walk(folder)) {
            assertThat(files.filter(Files::isRegularFile)).isEmpty();
        }
    }

    @Test
    void what_a_crash_left_is_not_listed_but_deleted() throws IOException {
        BlobStore store = emptyStore();
        store.write("run/x", out -> out.write(1));
        Files.writeString(folder.resolve("store/" + BlobPaths.temporary("run/y")), "half");
        assertThat(store.list("")).containsExactly("run/x");
        store.delete("run/");
        assertThat(folder.resolve("store/run")).doesNotExist();
    }

    @Test
    void links_to_files_are_read_and_deleting_one_keeps_its_file() throws IOException {
        Path blob = Files.writeString(folder.resolve("blob"), "content");
        Files.createDirectories(folder.resolve("store"));
        Files.createSymbolicLink(folder.resolve("store/config.json"), blob);
        BlobStore store = emptyStore();
        assertThat(store.length("config.json")).isEqualTo(7);
        assertThat(store.list("")).containsExactly("config.json");
        store.delete("");
        assertThat(blob).exists();
        assertThat(store.exists("config.json")).isFalse();
    }
}
