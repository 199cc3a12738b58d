package quern.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.store.Checkpoint;
import quern.store.LocalStore;

class HubTest extends HubFixture {
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

    @Test
    void headers_alone_stand_for_the_files() throws IOException {
        byte[] header = "{\"x\":{\"dtype\":\"F32\",\"shape\":[50000],\"data_offsets\":[0,200000]}}".getBytes(UTF_8);
        byte[] file = new byte[8 + header.length + 200_000];
        java.util.Arrays.fill(file, (byte) 7);
        java.nio.ByteBuffer.wrap(file)
                .order(java.nio.ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .put(header);
        hub.files.put("model.safetensors", file);

        Path made = client().headers("me/model", "main", home.resolve("headers"));

        Checkpoint checkpoint = Checkpoint.open(new LocalStore(made));
        assertThat(checkpoint.spec("x").bytes()).isEqualTo(200_000);
        assertThat(made.resolve("config.json")).hasContent("{\"model_type\": \"llama\"}");
        // What lies behind the header was not asked for, or at least not kept.
        assertThat(checkpoint.read("x").get(100)).isZero();
        assertThat(folder().resolve("snapshots/" + FakeHub.COMMIT + "/model.safetensors"))
                .doesNotExist();
    }

    @Test
    void a_file_that_does_not_begin_with_a_header_is_refused() {
        hub.files.put("model.safetensors", noise(5000));
        assertThatThrownBy(() -> client().headers("me/model", "main", home.resolve("headers")))
                .isInstanceOf(QuernException.class)
                .hasMessageContaining("does not begin as a safetensors file");
    }
}
