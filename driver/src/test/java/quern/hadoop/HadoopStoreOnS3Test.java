package quern.hadoop;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.store.BlobStore;
import quern.store.BlobStoreContract;

/** Against s3proxy, a real S3 server over a folder, in a process of its own. See src/test/s3proxy/pom.xml. */
class HadoopStoreOnS3Test extends BlobStoreContract {
    private static final Path JARS = Path.of("target", "s3proxy").toAbsolutePath();
    private static final AtomicInteger STORES = new AtomicInteger();
    private static final Configuration SETTINGS = new Configuration();

    @TempDir
    static Path folder;

    private static Process server;

    @BeforeAll
    static void start() throws Exception {
        assumeTrue(Files.isDirectory(JARS), () -> "no S3 server in " + JARS + " (src/test/s3proxy/pom.xml says how)");
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        Files.createDirectories(folder.resolve("data/bucket"));
        Path properties = Files.writeString(
                folder.resolve("s3proxy.conf"),
                String.join(
                        "\n",
                        "s3proxy.authorization=aws-v2-or-v4",
                        "s3proxy.identity=local",
                        "s3proxy.credential=local1234",
                        "s3proxy.endpoint=http://127.0.0.1:" + port,
                        "jclouds.provider=filesystem-nio2",
                        "jclouds.filesystem.basedir=" + folder.resolve("data"),
                        "jclouds.identity=x",
                        "jclouds.credential=y"));
        server = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx256m",
                        "-cp",
                        JARS + "/*",
                        "org.gaul.s3proxy.Main",
                        "--properties",
                        properties.toString())
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("s3proxy.log").toFile())
                .start();
        long patience = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (true) {
            try (Socket open = new Socket(InetAddress.getLoopbackAddress(), port)) {
                break;
            } catch (IOException notYet) {
                if (!server.isAlive() || System.nanoTime() > patience) {
                    throw new IOException(Files.readString(folder.resolve("s3proxy.log")), notYet);
                }
                Thread.sleep(100);
            }
        }
        Map.of(
                        "fs.s3a.endpoint", "http://127.0.0.1:" + port,
                        "fs.s3a.endpoint.region", "us-east-1",
                        "fs.s3a.path.style.access", "true",
                        "fs.s3a.connection.ssl.enabled", "false",
                        "fs.s3a.access.key", "local",
                        "fs.s3a.secret.key", "local1234",
                        "fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
                        "fs.s3a.multipart.size", "5M",
                        "fs.s3a.multipart.threshold", "5M",
                        "fs.s3a.retry.limit", "2")
                .forEach(SETTINGS::set);
    }

    @AfterAll
    static void stop() throws Exception {
        FileSystem.closeAll();
        if (server != null) {
            server.destroy();
            server.waitFor(10, TimeUnit.SECONDS);
        }
    }

    @Override
    protected BlobStore emptyStore() {
        return Stores.open("s3a://bucket/stores/" + STORES.incrementAndGet(), SETTINGS);
    }

    @Override
    @Disabled("S3 has no files, only keys; this server keeps them in folders and answers 500")
    protected void below_a_file_there_is_none() {}

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
