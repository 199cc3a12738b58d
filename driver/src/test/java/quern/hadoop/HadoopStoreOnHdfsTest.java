package quern.hadoop;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.store.BlobStore;
import quern.store.BlobStoreContract;

class HadoopStoreOnHdfsTest extends BlobStoreContract {
    @TempDir
    static Path folder;

    private static final AtomicInteger STORES = new AtomicInteger();
    private static MiniDFSCluster hdfs;

    @BeforeAll
    static void start() throws IOException {
        Configuration settings = new Configuration();
        settings.set("hdfs.minidfs.basedir", folder.toString());
        hdfs = new MiniDFSCluster.Builder(settings).numDataNodes(1).build();
    }

    @AfterAll
    static void stop() {
        hdfs.shutdown();
    }

    @Override
    protected BlobStore emptyStore() {
        return Stores.open(uri("/stores/" + STORES.incrementAndGet()), hdfs.getConfiguration(0));
    }

    private static String uri(String path) {
        return hdfs.getURI().toString() + path;
    }

    @Test
    void a_failed_write_leaves_no_file_of_any_name_and_deleting_leaves_no_folder() throws IOException {
        BlobStore store = emptyStore();
        store.write("a/b/x", out -> out.write(1));
        try {
            store.write("a/b/y", out -> {
                throw new IOException("no");
            });
        } catch (IOException expected) {
            assertThat(expected).hasMessage("no");
        }
        FileSystem files = hdfs.getFileSystem();
        var root = new org.apache.hadoop.fs.Path(URI.create(store.location()));
        assertThat(files.getContentSummary(root).getFileCount()).isEqualTo(1);
        store.delete("a/b/x");
        assertThat(files.listStatus(root)).isEmpty();
    }
}
