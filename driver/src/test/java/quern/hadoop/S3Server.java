package quern.hadoop;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * s3proxy, a real S3 server over a folder, in a process of its own. Where its jars are missing, the tests that need it are
 * skipped with a message; src/test/s3proxy/pom.xml says how to fetch them.
 */
public final class S3Server implements AutoCloseable {
    private static final Path JARS = Path.of("target", "s3proxy").toAbsolutePath();

    private final Process process;
    private final int port;

    private S3Server(Process process, int port) {
        this.process = process;
        this.port = port;
    }

    /** Starts one with the empty bucket {@code bucket}; its files lie in this folder. */
    public static S3Server start(Path folder) throws IOException, InterruptedException {
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
        Path log = folder.resolve("s3proxy.log");
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx256m",
                        "-cp",
                        JARS + "/*",
                        "org.gaul.s3proxy.Main",
                        "--properties",
                        properties.toString())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        S3Server server = new S3Server(process, port);
        long patience = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (true) {
            try (Socket open = new Socket(InetAddress.getLoopbackAddress(), port)) {
                return server;
            } catch (IOException notYet) {
                if (!process.isAlive() || System.nanoTime() > patience) {
                    server.close();
                    throw new IOException(Files.readString(log), notYet);
                }
                Thread.sleep(100);
            }
        }
    }

    /** What Hadoop must know to reach it. */
    public Map<String, String> settings() {
        return Map.of(
                "fs.s3a.endpoint", "http://127.0.0.1:" + port,
                "fs.s3a.endpoint.region", "us-east-1",
                "fs.s3a.path.style.access", "true",
                "fs.s3a.connection.ssl.enabled", "false",
                "fs.s3a.access.key", "local",
                "fs.s3a.secret.key", "local1234",
                "fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
                "fs.s3a.multipart.size", "5M",
                "fs.s3a.multipart.threshold", "5M",
                "fs.s3a.retry.limit", "2");
    }

    @Override
    public void close() throws InterruptedException {
        process.destroy();
        if (!process.waitFor(10, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
    }
}
