package quern.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;

@Timeout(60)
class HubTest {
    private static final Hub.Progress SILENT = (done, total) -> {};

    @TempDir
    Path home;

    private FakeHub hub;

    @BeforeEach
    void start() {
        hub = new FakeHub();
        hub.files.put("config.json", "{\"model_type\": \"llama\"}".getBytes(UTF_8));
        hub.files.put("tokenizer.json", "{}".getBytes(UTF_8));
        hub.files.put("merges.txt", new byte[0]);
        hub.files.put("tokenizer.model", new byte[] {1, 2, 3});
        hub.files.put("chat_template.jinja", "{{ x }}".getBytes(UTF_8));
        hub.files.put("model.safetensors", noise(200_000));
    }

    @AfterEach
    void stop() {
        hub.close();
    }

    private static byte[] noise(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }

    private Hub client(String... variables) {
        Map<String, String> environment =
                new HashMap<>(Map.of("HF_ENDPOINT", hub.endpoint(), "HF_HOME", home.toString()));
        for (int i = 0; i < variables.length; i += 2) {
            environment.put(variables[i], variables[i + 1]);
        }
        HubSettings s = HubSettings.of(environment);
        return new Hub(new HubSettings(
                s.endpoint(), s.cache(), s.token(), s.offline(), Duration.ofSeconds(2), Duration.ofMillis(1)));
    }

    private Path folder() {
        return home.resolve("hub/models--me--model");
    }

    @Test
    void a_model_arrives_in_the_layout_of_the_python_library() throws IOException {
        hub.files.put("pytorch_model.bin", noise(10));
        hub.files.put("modeling_llama.py", noise(10));
        hub.files.put("README.md", noise(10));
        hub.files.put("consolidated.safetensors", noise(10));
        hub.files.put("onnx/config.json", noise(10));
        Path snapshot = client().model("me/model", "main", SILENT);

        assertThat(snapshot).isEqualTo(folder().resolve("snapshots/" + FakeHub.COMMIT));
        assertThat(folder().resolve("refs/main")).hasContent(FakeHub.COMMIT);
        try (Stream<Path> files = Files.list(snapshot)) {
            assertThat(files.map(f -> f.getFileName().toString()))
                    .containsExactlyInAnyOrder(
                            "config.json",
                            "tokenizer.json",
                            "merges.txt",
                            "tokenizer.model",
                            "chat_template.jinja",
                            "model.safetensors");
        }
        byte[] weights = hub.files.get("model.safetensors");
        assertThat(snapshot.resolve("model.safetensors"))
                .hasBinaryContent(weights)
                .isSymbolicLink();
        assertThat(Files.readSymbolicLink(snapshot.resolve("model.safetensors")))
                .isEqualTo(Path.of("../../blobs", FakeHub.sha256(weights)));
        assertThat(Files.readSymbolicLink(snapshot.resolve("config.json")))
                .isEqualTo(Path.of("../../blobs", FakeHub.gitBlob(hub.files.get("config.json"))));
    }

    /** {@code printf 'hello\n' | git hash-object --stdin} */
    @Test
    void the_git_blob_id_is_gits() throws IOException {
        Path file = Files.writeString(home.resolve("hello"), "hello\n");
        assertThat(HubCache.digest(file, "0".repeat(40))).contains("ce013625030ba8dba906f756967f9e9ca394464a");
    }

    @Test
    void shards_are_those_that_the_index_names() throws IOException {
        hub.files.remove("model.safetensors");
        hub.files.put("a-1.safetensors", noise(100));
        hub.files.put("a-2.safetensors", noise(200));
        hub.files.put("other.safetensors", noise(300));
        hub.files.put(
                "model.safetensors.index.json",
                "{\"weight_map\": {\"x\": \"a-1.safetensors\", \"y\": \"a-2.safetensors\"}}".getBytes(UTF_8));
        Path snapshot = client().model("me/model", "refs/pr/1", SILENT);
        assertThat(snapshot.resolve("a-2.safetensors")).hasBinaryContent(noise(200));
        assertThat(snapshot.resolve("other.safetensors")).doesNotExist();
        assertThat(folder().resolve("refs/refs/pr/1")).hasContent(FakeHub.COMMIT);
    }

    @Test
    void a_second_time_only_asks() throws IOException {
        client().model("me/model", "main", SILENT);
        hub.requests.clear();
        client().model("me/model", FakeHub.COMMIT, SILENT);
        assertThat(hub.requests).isNotEmpty().allMatch(r -> r.contains(" HEAD ") || r.contains("/api/"));
    }

    @Test
    void offline_nothing_is_asked() throws IOException {
        Path snapshot = client().model("me/model", "main", SILENT);
        hub.requests.clear();
        Hub offline = client("HF_HUB_OFFLINE", "1");
        assertThat(offline.model("me/model", "main", SILENT)).isEqualTo(snapshot);
        assertThat(offline.model("me/model", FakeHub.COMMIT, SILENT)).isEqualTo(snapshot);
        assertThatThrownBy(() -> offline.model("me/other", "main", SILENT))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("HF_HUB_OFFLINE is set");
        assertThat(hub.requests).isEmpty();
    }

    @Test
    void the_token_goes_to_the_hub_and_nowhere_else() throws IOException {
        hub.tokenNeeded = "secret";
        client("HF_TOKEN", "secret").model("me/model", "main", SILENT);
        assertThat(hub.requests)
                .anyMatch(r -> r.startsWith("cdn GET"))
                .noneMatch(r -> r.startsWith("cdn") && r.endsWith("with token"))
                .noneMatch(r -> r.startsWith("hub") && !r.endsWith("with token"));
    }

    @Test
    void the_token_may_lie_in_a_file() throws IOException {
        hub.tokenNeeded = "secret";
        Files.writeString(home.resolve("token"), "secret\n");
        assertThat(client().model("me/model", "main", SILENT)).exists();
    }

    @Test
    void settings_do_not_print_the_token() {
        assertThat(HubSettings.of(Map.of("HF_TOKEN", "secret", "HF_HOME", home.toString()))
                        .toString())
                .doesNotContain("secret");
    }

    @Test
    void refusals_are_one_sentence_that_helps() {
        refused(client(), "me/gated", "main", "gated", hub.endpoint() + "/me/gated", "HF_TOKEN");
        refused(client(), "me/missing", "main", "does not exist on " + hub.endpoint());
        refused(client(), "me/model", "no-such-revision", "no such revision");
        refused(client(), "not a name", "main", "owner/name");
        refused(client(), "me/../you", "main", "owner/name");
        refused(client(), "me/model", "../../x", "branch");
        hub.tokenNeeded = "secret";
        refused(client(), "me/model", "main", "there is no token", "set HF_TOKEN");
        refused(client("HF_TOKEN", "wrong"), "me/model", "main", "the token does not open it");
        hub.tokenNeeded = "";
        hub.files.remove("model.safetensors");
        hub.files.put("model.gguf", noise(1));
        refused(client(), "me/model", "main", "only model.gguf");
        refused(
                client("HF_ENDPOINT", "http://127.0.0.1:1"),
                "me/model",
                "main",
                "http://127.0.0.1:1",
                "HF_HUB_OFFLINE=1");
    }

    @Test
    void a_file_outside_of_the_folder_is_refused() {
        hub.files.put("../../evil.json", noise(1));
        refused(client(), "me/model", "main", "outside");
    }

    private static void refused(Hub client, String id, String revision, String... says) {
        assertThatThrownBy(() -> client.model(id, revision, SILENT))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot ")
                .message()
                .contains(says)
                .doesNotContain("secret", "wrong");
    }

    @Test
    void a_broken_connection_goes_on_where_it_stopped() throws IOException {
        hub.cuts.set(7);
        hub.cutAfter = 20_000;
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
        assertThat(hub.requests.stream().filter(r -> r.startsWith("cdn GET"))).hasSize(8);
    }

    @Test
    void what_an_earlier_run_left_is_used() throws IOException {
        Path blobs = Files.createDirectories(folder().resolve("blobs"));
        byte[] all = noise(200_000);
        Files.write(blobs.resolve(FakeHub.sha256(all) + ".incomplete"), java.util.Arrays.copyOf(all, 150_000));
        hub.cutAfter = 60_000; // a body of all bytes would be cut, the rest is not
        hub.cuts.set(100);
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(all);
        assertThat(hub.cuts).hasValue(100);
    }

    @Test
    void a_server_without_ranges_starts_over() throws IOException {
        hub.ignoresRanges = true;
        hub.cuts.set(2);
        hub.cutAfter = 50_000;
        List<Long> done = new CopyOnWriteArrayList<>();
        Path snapshot = client().model("me/model", "main", (n, total) -> done.add(n));
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
        assertThat(done.get(done.size() - 1)).isEqualTo(200_000);
    }

    @Test
    void a_silent_connection_is_a_broken_one() throws IOException {
        hub.cuts.set(1);
        hub.stallsInstead = true;
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
    }

    @Test
    void a_server_that_recovers_is_waited_for_and_one_that_does_not_is_named() throws IOException {
        hub.failing = 3;
        assertThat(client().model("me/model", "main", SILENT)).exists();
        hub.failing = 1000;
        refused(client(), "me/model", "main", "it answers 503");
    }

    @Test
    void a_corrupted_body_is_refused_and_thrown_away() throws IOException {
        hub.corrupts = true;
        refused(client(), "me/model", "main", "model.safetensors", "checksum", FakeHub.sha256(noise(200_000)));
        try (Stream<Path> blobs = Files.list(folder().resolve("blobs"))) {
            assertThat(blobs.filter(
                            b -> Files.isRegularFile(b) && b.toString().contains(FakeHub.sha256(noise(200_000)))))
                    .isEmpty();
        }
        assertThat(folder().resolve("refs/main")).doesNotExist();
        hub.corrupts = false;
        assertThat(client().model("me/model", "main", SILENT).resolve("model.safetensors"))
                .hasBinaryContent(noise(200_000));
    }

    @Test
    void progress_begins_at_nothing_and_ends_at_all() throws IOException {
        List<Long> done = new CopyOnWriteArrayList<>();
        client().model("me/model", "main", (n, total) -> {
            assertThat(total).isEqualTo(200_000);
            done.add(n);
        });
        assertThat(done.get(0)).isZero();
        assertThat(done.get(done.size() - 1)).isEqualTo(200_000);
    }

    @Test
    void two_files_with_one_content_share_a_blob() throws IOException {
        hub.files.put("added_tokens.json", "{}".getBytes(UTF_8));
        Path snapshot = client().model("me/model", "main", SILENT);
        assertThat(snapshot.resolve("added_tokens.json").toRealPath())
                .isEqualTo(snapshot.resolve("tokenizer.json").toRealPath());
    }

    @Test
    void a_renamed_model_is_found_by_its_old_name() throws IOException {
        Path snapshot = client("HF_TOKEN", "t").model("old-name", "main", SILENT);
        assertThat(snapshot).isEqualTo(home.resolve("hub/models--old-name/snapshots/" + FakeHub.COMMIT));
        assertThat(snapshot.resolve("model.safetensors")).hasBinaryContent(noise(200_000));
        assertThat(hub.requests).anyMatch(r -> r.contains("/me/model/resolve/") && r.endsWith("with token"));
    }

    @Test
    void a_data_set_gives_the_files_that_are_wanted() throws IOException {
        hub.files.put("data/train-00000-of-00001.parquet", noise(5000));
        Path snapshot = client().dataset("me/model", "main", file -> file.endsWith(".parquet"), SILENT);
        assertThat(snapshot).isEqualTo(home.resolve("hub/datasets--me--model/snapshots/" + FakeHub.COMMIT));
        assertThat(snapshot.resolve("data/train-00000-of-00001.parquet")).hasBinaryContent(noise(5000));
        assertThat(Files.readSymbolicLink(snapshot.resolve("data/train-00000-of-00001.parquet")))
                .isEqualTo(Path.of("../../../blobs", FakeHub.sha256(noise(5000))));
        assertThat(hub.requests).anyMatch(r -> r.contains("/datasets/me/model/resolve/"));
        assertThatThrownBy(() -> client().dataset("me/model", "main", file -> file.endsWith(".csv"), SILENT))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("none of its 7 files");
    }

    @Test
    void the_environment_decides_as_for_the_python_library() {
        HubSettings usual = HubSettings.of(Map.of("XDG_CACHE_HOME", home.toString()));
        assertThat(usual.endpoint()).isEqualTo(URI.create("https://huggingface.co"));
        assertThat(usual.cache()).isEqualTo(home.resolve("huggingface/hub"));
        HubSettings own = HubSettings.of(Map.of("HF_HOME", "/a", "HF_HUB_CACHE", "/b", "HF_HUB_OFFLINE", "TRUE"));
        assertThat(own.cache()).isEqualTo(Path.of("/b"));
        assertThat(own.offline()).isTrue();
        assertThatThrownBy(() -> HubSettings.of(Map.of("HF_ENDPOINT", "hub")))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("HF_ENDPOINT");
    }
}
