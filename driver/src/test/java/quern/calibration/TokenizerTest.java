package quern.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;

class TokenizerTest {
    @Test
    void ids_are_those_of_the_python_library() {
        try (Tokenizer tokenizer = DemoTokenizer.open()) {
            String text = "Once upon a time, caf\u00e9 \ud83d\ude00 \u4f60\u597d\n";
            assertThat(tokenizer.encode(text, false))
                    .containsExactly(
                            427, 443, 260, 395, 13, 1891, 71, 129, 104, 222, 174, 255, 248, 224, 222, 162, 123, 256,
                            163, 100, 123, 200);
            assertThat(tokenizer.encode(text, true)).startsWith(0, 427).hasSize(23);
            assertThat(tokenizer.decode(tokenizer.encode(text, false))).isEqualTo(text);
            assertThat(tokenizer.encode("", false)).isEmpty();
        }
    }

    @Test
    void a_truncation_that_the_file_asks_for_is_not_carried_out() {
        String json = new String(DemoTokenizer.open().json(), StandardCharsets.UTF_8)
                .replaceFirst(
                        "\"truncation\": *null",
                        "\"truncation\":{\"direction\":\"Right\",\"max_length\":4,\"strategy\":\"LongestFirst\",\"stride\":0}");
        assertThat(json).contains("max_length");
        try (Tokenizer tokenizer = Tokenizer.of(json.getBytes(StandardCharsets.UTF_8), "x")) {
            assertThat(tokenizer.encode("Once upon a time there was a girl named Lisa.", false))
                    .hasSizeGreaterThan(8);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{", "{}", "[1]", "null", "{\"version\":\"1.0\",\"model\":{\"type\":\"Nothing\"}}"})
    void a_broken_tokenizer_is_one_sentence(String json) {
        assertThatThrownBy(() -> Tokenizer.of(json.getBytes(StandardCharsets.UTF_8), "/models/x"))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot read the tokenizer of /models/x: ")
                .hasMessageNotContaining("\n");
    }
}
