package quern.model;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.QuernException;
import quern.Seeds;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.store.MemoryStore;
import quern.tensor.DType;

class MutatedConfigTest {
    private static final String[] TOKENS = {
        "0",
        "-1",
        "2",
        "3",
        "1e99",
        "1e-99",
        "-0.0",
        "NaN",
        "Infinity",
        "null",
        "true",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "[[[[",
        "}",
        "99999999999999999999",
        "0.5",
        "\u0000",
        "\"yarn\"",
        "\"linear\""
    };
    private static final String CONFIG = Models.TINY.replaceFirst(
            "\\{",
            "{\"head_dim\": 4, \"rope_theta\": 10000, \"attention_bias\": false, \"layer_types\":"
                    + " [\"full_attention\", \"full_attention\"], \"rope_scaling\": {\"rope_type\": \"llama3\","
                    + " \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0,"
                    + " \"original_max_position_embeddings\": 32}, ");

    /** Replaces, deletes or doubles a stretch, or puts a value where another was. */
    private static byte[] mutated(Random random) {
        StringBuilder json = new StringBuilder(CONFIG);
        for (int n = random.nextInt(3); n >= 0; n--) {
            int at = random.nextInt(json.length());
            int to = Math.min(json.length(), at + random.nextInt(12));
            switch (random.nextInt(4)) {
                case 0 -> json.delete(at, to);
                case 1 -> json.insert(at, json.substring(at, to));
                case 2 -> json.setCharAt(at, (char) random.nextInt(256));
                default -> {
                    int colon = json.indexOf(":", at);
                    int comma = json.indexOf(",", Math.max(colon, 0));
                    if (colon >= 0 && comma > colon) {
                        json.replace(colon + 1, comma, TOKENS[random.nextInt(TOKENS.length)]);
                    }
                }
            }
            if (json.length() == 0) {
                json.append(' ');
            }
        }
        return json.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void a_mutated_config_is_refused_in_a_sentence_or_the_model_runs() throws Exception {
        long seed = Seeds.seed();
        Random random = new Random(seed);
        MemoryStore store = Models.tiny();
        int refused = 0;
        try (Device device = Devices.open("java")) {
            for (int i = 0; i < 5000; i++) {
                byte[] config = mutated(random);
                store.put("config.json", config);
                try {
                    Model model = Model.open(store);
                    try (DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
                            DeviceMatrix x = device.upload(Embedding.open(model).rows(new int[] {1, 2}), DType.F32);
                            DeviceMatrix y = layer.forward(x, 2, null)) {
                        assertThat(y.rows()).isEqualTo(2);
                    }
                } catch (QuernException e) {
                    refused++;
                    assertThat(e.getMessage())
                            .startsWith("Cannot ")
                            .doesNotContain("\n")
                            .hasSizeLessThan(600);
                } catch (RuntimeException e) {
                    throw new AssertionError(
                            "seed " + seed + ", config " + new String(config, StandardCharsets.UTF_8), e);
                }
            }
        }
        assertThat(refused).isBetween(1000, 4999);
    }
}
