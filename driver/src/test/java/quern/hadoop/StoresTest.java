package quern.hadoop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Path;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;
import quern.store.BlobStore;
import quern.store.LocalStore;

class StoresTest {
    @TempDir
    Path folder;

    @Test
    void a_path_without_a_scheme_and_a_file_uri_are_this_machine() {
        Configuration settings = new Configuration();
        settings.set("fs.defaultFS", "hdfs://nowhere:1");
        for (String location : new String[] {folder.toString(), folder.toUri().toString(), "file:" + folder}) {
            BlobStore store = Stores.open(location, settings);
            assertThat(store).isInstanceOf(LocalStore.class);
            assertThat(store.location()).isEqualTo(folder.toString());
        }
        assertThat(Stores.open("some where", settings)).isInstanceOf(LocalStore.class);
    }

    @Test
    void an_address_travels() throws Exception {
        Configuration settings = new Configuration(false);
        settings.set("fs.viewfs.impl", "org.apache.hadoop.fs.viewfs.ViewFileSystem");
        StoreAddress address = new StoreAddress(folder.toString(), settings);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(address);
        }
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
            BlobStore store = ((StoreAddress) in.readObject()).open();
            store.write("x", out -> out.write(1));
            assertThat(folder.resolve("x")).exists();
        }
    }

    @Test
    void what_cannot_be_opened_is_one_sentence() {
        for (String location : new String[] {"nosuch://bucket/x", "s3a:\\x", "hdfs://"}) {
            assertThatThrownBy(() -> Stores.open(location, Map.of()))
                    .as(location)
                    .isInstanceOf(QuernException.class)
                    .hasMessageStartingWith("Cannot open " + location + ": ");
        }
    }
}
