package quern.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import quern.Seeds;

class AllocationTest {
    private static final Random RANDOM = Seeds.random();

    /** All combinations tried: the choice is the best, and so is what the curve says. */
    @RepeatedTest(20)
    void is_the_best_of_all_combinations() {
        List<Allocation.Unit> units = new ArrayList<>();
        for (int u = 0; u < 6; u++) {
            units.add(unit(64 * (1 + RANDOM.nextInt(4))));
        }
        long most = units.stream().mapToLong(u -> u.choices().get(3).bits()).sum();
        Allocation allocation = new Allocation(units, most);
        for (int tries = 0; tries < 20; tries++) {
            long budget = allocation.least() + (long) (RANDOM.nextDouble() * (most - allocation.least()));
            int[] chosen = allocation.choose(budget);

            assertThat(bits(units, chosen)).isLessThanOrEqualTo(budget);
            assertThat(loss(units, chosen)).isEqualTo(best(units, 0, budget), offset(1e-9));
        }
        for (Allocation.Point point : allocation.curve(5)) {
            assertThat(point.loss()).isEqualTo(best(units, 0, point.bits()), offset(1e-9));
        }
    }

    /** With bits that have no common divisor, the table is coarser than they are: what is lost is a step for each unit. */
    @RepeatedTest(5)
    void is_as_good_as_a_slightly_smaller_budget_allows_where_there_are_too_many_steps() {
        List<Allocation.Unit> units = new ArrayList<>();
        for (int u = 0; u < 6; u++) {
            units.add(unit(50_000_000 + RANDOM.nextInt(1_000_000)));
        }
        long most = units.stream().mapToLong(u -> u.choices().get(3).bits()).sum();
        Allocation allocation = new Allocation(units, most);
        long budget = (allocation.least() + most) / 2;
        int[] chosen = allocation.choose(budget);

        assertThat(bits(units, chosen)).isLessThanOrEqualTo(budget);
        long smaller = budget - (units.size() + 1) * ((most - allocation.least()) / 65_536 + 1);
        assertThat(loss(units, chosen)).isLessThanOrEqualTo(best(units, 0, smaller) + 1e-9);
    }

    @Test
    void too_few_bits_have_no_choice() {
        Allocation allocation = new Allocation(List.of(unit(10)), 1000);
        assertThat(allocation.choose(19)).isNull();
        assertThat(allocation.choose(20)).containsExactly(0);
    }

    /** Of 2, 3, 4 and 8 bits; losses fall about as fast as those of rounding do, or not at all. */
    private static Allocation.Unit unit(int weights) {
        double loss = RANDOM.nextDouble() + 0.1;
        return new Allocation.Unit(List.of(
                new Allocation.Choice(2L * weights, loss),
                new Allocation.Choice(3L * weights, loss * RANDOM.nextDouble()),
                new Allocation.Choice(4L * weights, loss * RANDOM.nextDouble() / 4),
                new Allocation.Choice(8L * weights, loss * RANDOM.nextDouble() / 100)));
    }

    private static double best(List<Allocation.Unit> units, int from, long budget) {
        if (budget < 0) {
            return Double.POSITIVE_INFINITY;
        }
        if (from == units.size()) {
            return 0;
        }
        double best = Double.POSITIVE_INFINITY;
        for (Allocation.Choice choice : units.get(from).choices()) {
            best = Math.min(best, choice.loss() + best(units, from + 1, budget - choice.bits()));
        }
        return best;
    }

    private static long bits(List<Allocation.Unit> units, int[] chosen) {
        long bits = 0;
        for (int u = 0; u < chosen.length; u++) {
            bits += units.get(u).choices().get(chosen[u]).bits();
        }
        return bits;
    }

    private static double loss(List<Allocation.Unit> units, int[] chosen) {
        double loss = 0;
        for (int u = 0; u < chosen.length; u++) {
            loss += units.get(u).choices().get(chosen[u]).loss();
        }
        return loss;
    }
}
