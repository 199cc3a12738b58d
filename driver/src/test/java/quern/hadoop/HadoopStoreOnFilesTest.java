package quern.hadoop;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.store.BlobStore;
import quern.store.BlobStoreContract;

class HadoopStoreOnFilesTest extends BlobStoreContract {
    @TempDir
    Path folder;

    @Override
    protected BlobStore emptyStore() throws IOException {
        return new HadoopStore(folder.resolve("a store").toUri(), new Configuration());
    }

    @Test
    void no_checksum_files_are_left_beside_the_model() throws IOException {
        emptyStore().write("x", out -> out.write(1));
        try (Stream<Path> files = Files.walk(folder)) {
            assertThat(files.filter(Files::isRegularFile)
                            .map(f -> f.getFileName().toString()))
                    .containsExactly("x");
        }
    }
}
