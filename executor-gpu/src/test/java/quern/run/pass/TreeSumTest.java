package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import quern.Seeds;

/** A tree's sum beside its definition, with terms that say where they stood. */
class TreeSumTest {
    private final Random random = Seeds.random();

    private static TreeSum<String> sum() {
        return new TreeSum<>((a, b) -> "(" + a + " " + b + ")");
    }

    /** Of the numbers [from, from + length), length a power of two, by halves. */
    private static @Nullable String defined(TreeMap<Integer, String> values, int from, int length) {
        if (length == 1) {
            return values.get(from);
        }
        String left = defined(values, from, length / 2);
        String right = defined(values, from + length / 2, length / 2);
        return left == null ? right : right == null ? left : "(" + left + " " + right + ")";
    }

    @Test
    void four_are_two_pairs() {
        TreeSum<String> sum = sum();
        IntStream.range(0, 5).forEach(i -> sum.add(i, "" + i));
        assertThat(sum.take()).isEqualTo("(((0 1) (2 3)) 4)");
        assertThat(sum.take()).isNull();
    }

    @Test
    void it_does_not_matter_how_many_of_them_were_added_up_before() {
        for (int round = 0; round < 300; round++) {
            int count = 1 + random.nextInt(40);
            double there = random.nextDouble();
            TreeMap<Integer, String> values = new TreeMap<>();
            for (int i = 0; i < count; i++) {
                if (random.nextDouble() <= there) {
                    values.put(i, "" + i);
                }
            }
            String expected = defined(values, 0, 64);
            for (int together = 1; together <= 64; together *= 2) {
                TreeSum<String> all = sum();
                for (int first = 0; first < count; first += together) {
                    TreeSum<String> some = sum();
                    values.subMap(first, first + together).forEach(some::add);
                    String part = some.take();
                    if (part != null) {
                        all.add(first, part);
                    }
                }
                assertThat(all.take())
                        .as("%s, %d together", values.keySet(), together)
                        .isEqualTo(expected);
            }
        }
    }
}
