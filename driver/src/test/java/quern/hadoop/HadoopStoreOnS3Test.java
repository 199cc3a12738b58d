package quern.hadoop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.s3a.AWSServiceIOException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.store.BlobStore;
import quern.store.BlobStoreContract;

class HadoopStoreOnS3Test extends BlobStoreContract {
    private static final AtomicInteger STORES = new AtomicInteger();
    private static final Configuration SETTINGS = new Configuration();

    @TempDir
    static Path folder;

    private static S3Server server;

    @BeforeAll
    static void start() throws Exception {
        server = S3Server.start(folder);
        server.settings().forEach(SETTINGS::set);
    }

    @AfterAll
    static void stop() throws Exception {
        FileSystem.closeAll();
        if (server != null) {
            server.close();
        }
    }

    @Override
    protected BlobStore emptyStore() {
        return Stores.open("s3a://bucket/stores/" + STORES.incrementAndGet(), SETTINGS);
    }

    /** S3 has keys, not folders: "file" and "file/below" may both exist. This server keeps keys in folders and answers 500. */
    @Override
    @Test
    protected void below_a_file_there_is_none() throws IOException {
        BlobStore store = emptyStore();
        store.write("file", out -> out.write(1));
        try {
            store.exists("file/below");
        } catch (AWSServiceIOException of500) {
            abort("the S3 server in use cannot be asked for a key below a key: " + of500.getMessage());
        }
        super.below_a_file_there_is_none();
    }

    @Test
    void a_failure_after_the_first_parts_were_sent_leaves_nothing() throws IOException {
        BlobStore store = emptyStore();
        byte[] part = new byte[1 << 20];
        assertThatThrownBy(() -> store.write("big", out -> {
                    for (int i = 0; i < 12; i++) {
                        out.write(part);
                    }
                    throw new IOException("no");
                }))
                .hasMessage("no");
        assertThat(store.exists("big")).isFalse();
        store.write("big", out -> {
            for (int i = 0; i < 12; i++) {
                out.write(part);
            }
        });
        assertThat(store.length("big")).isEqualTo(12 << 20);
        assertThat(store.list("")).containsExactly("big");
    }

    @Test
    void a_bucket_itself_is_a_store() throws IOException {
        BlobStore store = Stores.open("s3a://bucket", SETTINGS);
        store.write("at the root", out -> out.write(1));
        assertThat(store.list("at")).containsExactly("at the root");
    }
}
