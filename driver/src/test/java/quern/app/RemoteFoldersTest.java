package quern.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import quern.calibration.ToyTokenizer;
import quern.cli.Main;
import quern.demo.Demo;
import quern.hadoop.S3Server;
import quern.hadoop.Stores;
import quern.run.ToyModel;
import quern.store.BlobStore;

/**
 * One command from model to report, where model, text and result are on HDFS or S3, or the model is where only the driver sees
 * it: the bytes of a run on local files.
 */
@Timeout(240)
class RemoteFoldersTest {
    @TempDir
    Path folder;

    private static Map<String, String> local;

    /** A folder of this process that is another one, or none, to every other process: an executor on another machine. */
    private static final String HERE = "/proc/self/cwd/target/unseen";

    private final Map<String, String> settings = new TreeMap<>();
    private String master = "local[2]";
    private final StringWriter said = new StringWriter();

    @BeforeAll
    static void quantizeOnLocalFiles(@TempDir Path folder) throws Exception {
        RemoteFoldersTest here = new RemoteFoldersTest();
        local = here.quantized(folder.toString());
        here.forget();
    }

    @AfterEach
    void forget() throws IOException {
        settings.keySet().forEach(k -> System.clearProperty("spark.hadoop." + k));
        System.clearProperty("spark.master");
        System.clearProperty("spark.ui.enabled");
        System.clearProperty("spark.executor.extraClassPath");
        FileSystem.closeAll();
    }

    @Test
    void onHdfs() throws Exception {
        Configuration cluster = new Configuration();
        cluster.set("hdfs.minidfs.basedir", folder.resolve("hdfs").toString());
        try (MiniDFSCluster hdfs =
                new MiniDFSCluster.Builder(cluster).numDataNodes(1).build()) {
            assertThat(quantized(hdfs.getURI() + "/runs")).isEqualTo(local);
        }
    }

    @Test
    void onS3() throws Exception {
        try (S3Server server = S3Server.start(folder)) {
            settings.putAll(server.settings());
            assertThat(quantized("s3a://bucket/runs")).isEqualTo(local);
        }
    }

    @Test
    void aModelThatExecutorsDoNotSeeIsCopiedToTheOutput() throws Exception {
        onACluster();
        String model = model(HERE);
        String text = text(folder.toString());
        assertThat(quantize(model, text, folder + "/result"))
                .as(said.toString())
                .isZero();
        assertThat(checksums(folder + "/result")).isEqualTo(local);
        assertThat(folder.resolve("result/_quern")).doesNotExist();

        assertThat(run("eval", model, "--text", text, "--seqlen", "64")).isEqualTo(2);
        assertThat(said.toString()).contains("Cannot evaluate " + model + ": the executors of local-cluster");
    }

    @Test
    void anOutputThatExecutorsDoNotSeeIsRefused() throws Exception {
        onACluster();
        String here = folder.toString();
        assertThat(quantize(model(here), text(here), HERE + "/result")).isEqualTo(2);
        assertThat(said.toString()).contains("Cannot write to " + HERE + "/result: the executors of local-cluster");
        assertThat(open(HERE + "/result").list("")).isEmpty();
    }

    private void onACluster() throws IOException {
        assumeTrue(Files.isDirectory(Path.of("/proc/self/cwd")), "needs the /proc of Linux");
        open(HERE).delete("");
        Files.createDirectories(Path.of(System.getenv("SPARK_HOME"), "jars"));
        master = "local-cluster[2,1,1024]";
        System.setProperty(
                "spark.executor.extraClassPath",
                Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                        .map(p -> Path.of(p).toAbsolutePath().toString())
                        .collect(Collectors.joining(File.pathSeparator)));
    }

    /** Quantizes the toy model below this location; gives the checksum of every file of the result. */
    private Map<String, String> quantized(String location) throws Exception {
        int code = quantize(model(location), text(location), location + "/result");
        assertThat(code).as(said.toString()).isZero();
        return checksums(location + "/result");
    }

    private String model(String location) throws IOException {
        BlobStore model = open(location + "/model");
        ToyModel.write(model, 3, 7);
        model.write("tokenizer.json", to -> to.write(ToyTokenizer.json()));
        return location + "/model";
    }

    private String text(String location) throws IOException {
        byte[] stories =
                String.join("\n", Demo.calibrationStories().subList(0, 20)).getBytes(UTF_8);
        open(location + "/text").write("stories.txt", to -> to.write(stories));
        return location + "/text/stories.txt";
    }

    private int quantize(String model, String text, String result) {
        String options = "--samples 8 --seqlen 64 --group-size 32 --max-shard-size 50KB";
        List<String> command = new ArrayList<>(List.of("quantize", model, "--out", result, "--calibration", text));
        command.addAll(List.of(options.split(" ")));
        return run(command.toArray(String[]::new));
    }

    private int run(String... command) {
        System.setProperty("spark.master", master);
        System.setProperty("spark.ui.enabled", "false");
        settings.forEach((key, value) -> System.setProperty("spark.hadoop." + key, value));
        PrintWriter words = new PrintWriter(said, true);
        try (Application application = new Application()) {
            return Main.run(command, () -> application, words, words);
        }
    }

    private Map<String, String> checksums(String location) throws Exception {
        Map<String, String> files = new TreeMap<>();
        BlobStore result = open(location);
        for (String file : result.list("")) {
            if (!file.startsWith("report.") && !file.equals("quern.json")) { // these tell places and times
                ByteBuffer bytes = result.read(file, 0, Math.toIntExact(result.length(file)));
                MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
                sha256.update(bytes);
                files.put(file, HexFormat.of().formatHex(sha256.digest()));
            }
        }
        assertThat(result.exists("quern.json")).isTrue();
        assertThat(files).containsKeys("config.json", "model.safetensors.index.json", "tokenizer.json");
        return files;
    }

    private BlobStore open(String location) {
        Configuration configuration = new Configuration();
        settings.forEach(configuration::set);
        return Stores.open(location, configuration);
    }
}
