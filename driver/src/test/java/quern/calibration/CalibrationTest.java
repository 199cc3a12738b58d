package quern.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import java.util.zip.GZIPOutputStream;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;

/** Expected hashes were computed with Python's tokenizers library and random module from the same rows. */
class CalibrationTest {
    private static SparkSession spark;
    private static Tokenizer tokenizer;

    @TempDir
    Path folder;

    @BeforeAll
    static void start() {
        spark = SparkSession.builder()
                .master("local[2]")
                .config("spark.ui.enabled", "false")
                .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .config("spark.kryo.registrationRequired", "true")
                .config("spark.sql.files.maxPartitionBytes", "1k")
                .getOrCreate();
        tokenizer = DemoTokenizer.open();
    }

    @AfterAll
    static void stop() {
        tokenizer.close();
        spark.stop();
    }

    @ParameterizedTest
    @CsvSource({
        "c4.sample.txt, 119625488b9003ce",
        "tinystories.valid-sample.txt, 824a0d000572c450",
        "wikipedia.sample.txt, 2dceefa02b3b4c3d"
    })
    void a_text_file_gives_the_tokens_that_the_peers_see(String file, String sha256) {
        Path text = Path.of(System.getProperty("quern.shared"), "data/text", file);
        assumeTrue(Files.exists(text), "skipped: " + text + " is not there (set -Dquern.shared)");
        TokenWindows windows = calibration().windows(text.toString(), 32, 256, 0);
        assertThat(windows.sha256()).isEqualTo(sha256);
        assertThat(windows.windows()).hasSize(32).allMatch(w -> w.length == 256);
        assertThat(windows.tokens()).isEqualTo(32 * 256);
    }

    @Test
    void a_last_line_without_newline_and_any_line_ends_read_as_python_reads_them() throws IOException {
        String text = String.join("\n", rows());
        for (String written : List.of(text, text.replace("\n", "\r\n"), text.replace('\n', '\r'))) {
            Path file = Files.writeString(folder.resolve("open.txt"), written);
            assertThat(calibration().windows(file.toString(), 109, 29, 0).sha256())
                    .isEqualTo("f8fbb1d7e64b38ac");
        }
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(folder.resolve("open.txt.gz")))) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        assertThat(calibration()
                        .windows(folder.resolve("open.txt.gz").toString(), 109, 29, 0)
                        .sha256())
                .isEqualTo("f8fbb1d7e64b38ac");
    }

    @Test
    void files_of_a_folder_follow_each_other_by_name() throws IOException {
        List<String> rows = rows();
        Files.writeString(folder.resolve("b.txt"), String.join("\n", rows.subList(15, 40)));
        Files.writeString(folder.resolve("a.txt"), String.join("\n", rows.subList(0, 15)) + "\n");
        Files.writeString(folder.resolve("_SUCCESS"), "");
        assertThat(calibration().windows(folder.toString(), 109, 29, 0).sha256())
                .isEqualTo("f8fbb1d7e64b38ac");
    }

    @Test
    void rows_of_json_lines_and_parquet_are_tokenized_as_they_stand() throws IOException {
        write("json", "story");
        write("parquet", "story");
        assertThat(calibration().windows(folder + "/json:story", 10, 32, 0).sha256())
                .isEqualTo("4acd39a08f6286fc");
        assertThat(calibration().windows(folder + "/parquet:story", 10, 32, 0).sha256())
                .isEqualTo("4acd39a08f6286fc");
        assertRefused(folder + "/parquet", "it has no column text with text (name one as PATH:column; it has story)");
        assertRefused(folder + "/json", "it has no column text with text (name one as PATH:column; it has story)");
    }

    @Test
    void rows_without_text_are_counted() throws IOException {
        List<String> lines = new ArrayList<>(rows().stream()
                .map(r -> "{\"text\":\"" + r.replace("\"", "\\\"") + "\"}")
                .toList());
        lines.add(1, "{\"other\":1}");
        Path file = Files.write(folder.resolve("x.jsonl"), lines);
        TokenWindows windows = calibration().windows(file.toString(), 10, 32, 0);
        assertThat(windows.sha256()).isEqualTo("4acd39a08f6286fc");
        assertThat(windows.source()).endsWith("(1 rows without text left out)");
    }

    @ParameterizedTest
    @CsvSource({
        "ptb, 8, 16, 0, aecf147177a62300",
        "ptb, 8, 16, 7, a8e718ec40ce9599",
        "ptb_new, 8, 16, 0, ef07d141fd7b8c4e",
        "c4, 20, 64, 0, a41c02628e591923",
        "c4_new, 20, 64, 3, 966d537318ad9b5f",
    })
    void a_named_set_gives_the_windows_that_the_scripts_draw(
            String name, int samples, int length, long seed, String sha256) throws IOException {
        write("json", name.startsWith("c4") ? "text" : "sentence");
        write("parquet", name.startsWith("c4") ? "text" : "sentence");
        for (String kind : List.of("json", "parquet")) {
            Calibration calibration = new Calibration(spark, tokenizer, (dataset, config, split) -> {
                assertThat(split).isEqualTo("train");
                return List.of(folder.resolve(kind).toString());
            });
            assertThat(calibration.windows(name, samples, length, seed).sha256())
                    .isEqualTo(sha256);
            TokenWindows longer = calibration.windows(name, samples, 5, length, seed);
            assertThat(longer.first(samples).sha256()).isEqualTo(sha256);
            assertThat(longer.from(samples).windows()).hasSize(5);
        }
    }

    @Test
    void further_windows_are_those_behind_the_ones_asked_for_as_far_as_the_text_goes() throws IOException {
        Path file = Files.write(folder.resolve("text.txt"), rows());
        int all = calibration()
                .evaluationWindows(file.toString(), 29, 0, 0)
                .windows()
                .size();
        TokenWindows asked = calibration().windows(file.toString(), all - 3, 29, 0);
        TokenWindows longer = calibration().windows(file.toString(), all - 3, 10, 29, 0);
        assertThat(longer.first(all - 3).sha256()).isEqualTo(asked.sha256());
        assertThat(longer.from(all - 3).windows()).hasSize(3);
        assertThat(calibration()
                        .windows(file.toString(), all, 10, 29, 0)
                        .from(all)
                        .windows())
                .isEmpty();
    }

    @Test
    void several_files_of_a_set_are_one_text_in_the_order_given() throws IOException {
        write("z", "sentence", rows().subList(0, 11));
        write("a", "sentence", rows().subList(11, 40));
        DatasetFiles files = (d, c, s) -> List.of(folder + "/z", folder + "/a");
        assertThat(new Calibration(spark, tokenizer, files)
                        .windows("ptb", 8, 16, 0)
                        .sha256())
                .isEqualTo("aecf147177a62300");
    }

    @Test
    void a_local_plain_text_copy_of_wikitext2_is_read_as_the_data_set_is() throws IOException {
        List<String> rows = rows();
        List<String> lines = IntStream.range(0, 40)
                .mapToObj(i -> i % 5 == 3 ? "" : " " + rows.get(i) + " ")
                .toList();
        Path train = Files.write(folder.resolve("wiki.train.raw"), lines);
        spark.sparkContext().conf().set("spark.quern.dataset.wikitext2", folder + "/wiki.{split}.raw");
        Files.copy(train, folder.resolve("wiki.test.raw"));
        try {
            assertThat(calibration().windows("wikitext2", 8, 16, 0).sha256()).isEqualTo("ff39826c9531edbd");
            TokenWindows evaluation = calibration().evaluationWindows("wikitext2", 32, 0, 0);
            assertThat(evaluation.windows()).hasSize(83);
            assertThat(evaluation.sha256()).isEqualTo("87f5d9b936f99b1c");
        } finally {
            spark.sparkContext().conf().remove("spark.quern.dataset.wikitext2");
        }
    }

    @Test
    void evaluation_text_is_tokenized_at_once() throws IOException {
        Path file = Files.writeString(folder.resolve("t.txt"), String.join("\n", rows()));
        TokenWindows whole = calibration().evaluationWindows(file.toString(), 32, 0, 0);
        assertThat(whole.windows()).hasSize(98);
        assertThat(whole.sha256()).isEqualTo("4bb9efef73e0cf01");
        assertThat(calibration().evaluationWindows(file.toString(), 32, 0, 500).sha256())
                .isEqualTo("beaf1391f5ea9ff8");
        assertThat(calibration().evaluationWindows(file.toString(), 32, 7, 0).windows())
                .usingElementComparator(Arrays::compare)
                .isEqualTo(whole.windows().subList(0, 7));
    }

    @Test
    void the_standard_evaluation_text_gives_the_windows_of_the_bench() {
        Path text = Path.of(System.getProperty("quern.shared"), "data/text/wikitext2-raw.test.txt");
        assumeTrue(Files.exists(text), "skipped: " + text + " is not there (set -Dquern.shared)");
        TokenWindows windows = calibration().evaluationWindows(text.toString(), 512, 0, 100_000);
        assertThat(windows.windows()).hasSize(88);
        assertThat(windows.sha256()).isEqualTo("7be43d32a2351144");
    }

    @Test
    void c4_new_is_evaluated_on_its_first_documents() throws IOException {
        write("json", "text");
        DatasetFiles files = (d, c, s) -> List.of(folder + "/json");
        TokenWindows windows = new Calibration(spark, tokenizer, files).evaluationWindows("c4_new", 32, 0, 0);
        assertThat(windows.windows()).hasSize(98);
        assertThat(windows.sha256()).isEqualTo("10e330407ce73e9f");
    }

    @Test
    void the_demo_models_stories_begin_with_its_special_token() {
        TokenWindows windows = calibration().windows("demo", 123, 512, 0);
        assertThat(windows.sha256()).isEqualTo("07ee519a16485849");
        assertThat(windows.windows().get(0)).startsWith(0, 427, 443, 260, 395);
        assertThat(calibration().evaluationWindows("demo", 512, 0, 0).sha256()).isEqualTo("7c52cfe0f21e6157");
    }

    @Test
    void text_that_is_too_short_is_one_sentence() throws IOException {
        Path file = Files.writeString(folder.resolve("t.txt"), String.join("\n", rows()));
        String path = file.toString();
        assertThatThrownBy(() -> calibration().windows(path, 128, 4096, 0))
                .isInstanceOf(QuernException.class)
                .hasMessage(
                        "Cannot use the text of " + path + ": it has 3165 tokens, fewer than one window of 4096 (give"
                                + " more text or a smaller --seqlen)");
        assertThatThrownBy(() -> calibration().windows(path, 128, 512, 0))
                .isInstanceOf(QuernException.class)
                .hasMessage("Cannot take 128 windows of 512 tokens from " + path + ": its 3165 tokens make only 6 (use"
                        + " --samples 6, a smaller --seqlen or more text)");
        Path empty = Files.writeString(folder.resolve("empty.txt"), "");
        assertRefused(empty.toString(), "it has 0 tokens");
        write("json", "text");
        DatasetFiles files = (d, c, s) -> List.of(folder + "/json");
        assertThatThrownBy(() -> new Calibration(spark, tokenizer, files).windows("c4", 4, 512, 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("none of its 40 documents is longer than a window of 512 tokens");
    }

    @Test
    void what_cannot_be_read_is_one_sentence() throws IOException {
        assertRefused(folder + "/none", "there is no such file");
        assertRefused("nosuch://host/x", "No FileSystem for scheme");
        Path broken = Files.writeString(folder.resolve("x.parquet"), "this is not Parquet");
        assertRefused(broken.toString(), "Cannot read text from " + broken);
        Files.createDirectory(folder.resolve("nothing"));
        assertRefused(folder + "/nothing", "the folder has no files");
    }

    private static void assertRefused(String source, String reason) {
        assertThatThrownBy(() -> calibration().windows(source, 4, 32, 0))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining(reason)
                .hasMessageNotContaining("\n");
    }

    private static Calibration calibration() {
        return new Calibration(spark, tokenizer, (dataset, config, split) -> {
            throw new AssertionError("asked for " + dataset);
        });
    }

    private void write(String kind, String column) {
        write(kind, column, rows());
    }

    private void write(String kind, String column, List<String> rows) {
        var written = spark.createDataset(rows, Encoders.STRING())
                .toDF(column)
                .coalesce(1)
                .write();
        String path = folder.resolve(kind).toString();
        if (kind.equals("parquet")) {
            written.parquet(path);
        } else {
            written.option("compression", "gzip").json(path);
        }
    }

    private static List<String> rows() {
        return IntStream.range(0, 40)
                .mapToObj(i -> String.join(
                        " ",
                        Collections.nCopies(
                                i % 7 + 1,
                                "Once upon a time, cat " + i + " saw a big ball and said \"" + i * i + "!\"")))
                .toList();
    }
}
