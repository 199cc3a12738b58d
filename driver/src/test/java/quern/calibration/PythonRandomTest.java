package quern.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Against what CPython prints for random.Random(seed).randint and getrandbits. */
class PythonRandomTest {
    @ParameterizedTest
    @CsvSource({
        "0, '0 1 0 33 268055 1043521778', '212302 159023 249874 187720 305860 114526', 2167613558, 0",
        "1, '0 0 4 15 259750 1634154402', '235662 247592 341622 199027 110076 49209', 2095328386, 0",
        "42, '0 0 4 31 117026 299655412', '53736 354785 285929 45580 309588 221208', 136505587, 0",
        "4294967295, '0 0 9 66 152743 1295041661', '178272 199814 352508 146620 186166 260689', 1762836277, 0",
        "4294967301, '0 1 4 77 7614 762498846', '329135 89820 347536 259928 185827 127028', 1351978680, 1",
        "-7, '0 0 6 83 25315 155555737', '280956 49351 191726 305548 30408 266042', 922121676, 0",
        "9223372036854775807, '0 0 7 58 57274 1023904728', '308676 144475 87058 188814 323918 49360', 3513746144, 1"
    })
    void draws_what_python_draws(long seed, String toBounds, String documents, long word, long bit) {
        PythonRandom random = new PythonRandom(seed);
        int[] bounds = {0, 1, 9, 99, 341468 - 2048 - 1, Integer.MAX_VALUE - 1};
        assertThat(IntStream.of(bounds).map(b -> random.randint(0, b))).containsExactly(numbers(toBounds));
        assertThat(IntStream.range(0, 6).map(i -> random.randint(0, 356317 - 1)))
                .containsExactly(numbers(documents));
        assertThat(random.bits(32)).isEqualTo(word);
        assertThat(random.bits(1)).isEqualTo(bit);
    }

    @Test
    void goes_on_like_python_after_the_state_is_used_up() {
        PythonRandom random = new PythonRandom(0);
        int[] drawn = IntStream.range(0, 2000).map(i -> random.randint(0, 1000)).toArray();
        assertThat(java.util.Arrays.copyOfRange(drawn, 1995, 2000)).containsExactly(839, 735, 287, 968, 264);
    }

    @Test
    void an_empty_range_is_refused() {
        assertThatThrownBy(() -> new PythonRandom(0).randint(0, -1)).isInstanceOf(IllegalArgumentException.class);
    }

    private static Integer[] numbers(String text) {
        return java.util.Arrays.stream(text.split(" ")).map(Integer::valueOf).toArray(Integer[]::new);
    }
}
