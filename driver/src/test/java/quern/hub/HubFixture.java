package quern.hub;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import quern.QuernException;

/** A Hub on loopback with one model, and clients of it with a cache of their own. */
@Timeout(60)
abstract class HubFixture {
    static final Hub.Progress SILENT = (done, total) -> {};

    @TempDir
    Path home;

    FakeHub hub;

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

    static byte[] noise(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }

    Hub client(String... variables) {
        Map<String, String> environment =
                new HashMap<>(Map.of("HF_ENDPOINT", hub.endpoint(), "HF_HOME", home.toString()));
        for (int i = 0; i < variables.length; i += 2) {
            environment.put(variables[i], variables[i + 1]);
        }
        HubSettings s = HubSettings.of(environment);
        return new Hub(new HubSettings(
                s.endpoint(), s.cache(), s.token(), s.offline(), Duration.ofSeconds(2), Duration.ofMillis(1)));
    }

    Path folder() {
        return home.resolve("hub/models--me--model");
    }

    static void refused(Hub client, String id, String revision, String... says) {
        assertThatThrownBy(() -> client.model(id, revision, SILENT))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot ")
                .message()
                .contains(says)
                .doesNotContain("secret", "wrong");
    }
}
