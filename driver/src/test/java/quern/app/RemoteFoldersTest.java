package quern.app;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
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

/** One command from model to report, where model, text and result are on HDFS or S3: the bytes of a run on local files. */
@Timeout(240)
class RemoteFoldersTest {
    @TempDir
    Path folder;

    private static Map<String, String> local;

    private final Map<String, String> settings = new TreeMap<>();

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

    /** Quantizes the toy model below this location; gives the checksum of every file of the result. */
    private Map<String, String> quantized(String location) throws Exception {
        BlobStore model = open(location + "/model");
        ToyModel.write(model, 3, 7);
        model.write("tokenizer.json", to -> to.write(ToyTokenizer.json()));
        byte[] stories =
                String.join("\n", Demo.calibrationStories().subList(0, 20)).getBytes(UTF_8);
        open(location + "/text").write("stories.txt", to -> to.write(stories));

        System.setProperty("spark.master", "local[2]");
        System.setProperty("spark.ui.enabled", "false");
        settings.forEach((key, value) -> System.setProperty("spark.hadoop." + key, value));
        StringWriter said = new StringWriter();
        PrintWriter words = new PrintWriter(said, true);
        int code;
        try (Application application = new Application()) {
            code = Main.run(
                    new String[] {
                        "quantize",
                        location + "/model",
                        "--out",
                        location + "/result",
                        "--calibration",
                        location + "/text/stories.txt",
                        "--samples",
                        "8",
                        "--seqlen",
                        "64",
                        "--group-size",
                        "32",
                        "--max-shard-size",
                        "50KB"
                    },
                    () -> application,
                    words,
                    words);
        }
        assertThat(code).as(said.toString()).isZero();

        Map<String, String> files = new TreeMap<>();
        BlobStore result = open(location + "/result");
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
