package quern.calibration;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import quern.Mutator;
import quern.QuernException;
import quern.Seeds;

/**
 * Spoiled tokenizers: each is refused in one sentence, or works. The library behind them is native; what it does not survive
 * ends the whole test run.
 */
class HostileTokenizerTest {
    private static final int CASES = 2_000;
    private static final String TEXT =
            "Once upon a time, the cat said \"42!\" and 1234567 more.\n\u00e9\ud83d\ude00\u0000\n";

    @Test
    @Timeout(value = 300, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void a_spoiled_tokenizer_is_refused_in_one_sentence_or_works() {
        long seed = Seeds.seed();
        byte[] good = ToyTokenizer.json();
        try (Tokenizer tokenizer = Tokenizer.of(good, "the toy")) {
            assertThat(tokenizer.encode("the cat\n", true)).hasSizeBetween(5, 8).startsWith(0);
        }
        int refused = 0;
        for (int i = 0; i < CASES; i++) {
            byte[] spoiled = new Mutator(seed + i).spoil(good);
            refused += survives(spoiled, "case " + i + " of seed " + seed) ? 0 : 1;
        }
        // Both must occur, or the mutations miss what they are for.
        assertThat(refused).isBetween(CASES / 4, CASES - CASES / 100);
    }

    private static boolean survives(byte[] json, String which) {
        long start = System.nanoTime();
        boolean works = false;
        try (Tokenizer tokenizer = Tokenizer.of(json, "/models/x")) {
            int[] ids = tokenizer.encode(TEXT, true);
            for (int id : ids) {
                assertThat(id).isNotNegative();
            }
            tokenizer.encode("", false);
            tokenizer.decode(ids);
            works = true;
        } catch (QuernException e) {
            assertThat(e.getMessage())
                    .as(which)
                    .startsWith("Cannot ")
                    .doesNotContain("\n")
                    .hasSizeLessThan(1000);
        } catch (RuntimeException | Error e) {
            throw new AssertionError(which + ": " + new String(json, StandardCharsets.UTF_8), e);
        }
        assertThat(System.nanoTime() - start).as(which).isLessThan(10_000_000_000L);
        return works;
    }
}
