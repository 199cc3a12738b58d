package quern.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A width for each unit, so that the sum of losses is the least that a number of bits allows: the multiple-choice knapsack
 * problem, solved by dynamic programming over the bits.
 *
 * <p>Bits are counted in their greatest common divisor, and the choice is then exact; where that makes too many steps, in a larger
 * step, to which the bits of each unit are rounded up: then the least loss of a budget that is smaller by at most a step for each
 * unit.
 */
public final class Allocation {
    /** Steps of the table; a byte for each and each unit is kept. */
    private static final long STEPS = 1 << 16;

    private final List<Unit> units;
    private final long step;
    private final long least; // bits of all units at their cheapest
    private final double[] loss; // for so many steps above the least
    private final byte[][] chosen; // unit, steps: its choice

    /**
     * What gets one width.
     *
     * @param choices with rising bits
     */
    public record Unit(List<Choice> choices) {
        public Unit {
            choices = List.copyOf(choices);
        }
    }

    /**
     * @param bits stored, scales and zero points included
     * @param loss that it costs; not negative
     */
    public record Choice(long bits, double loss) {}

    /** The least loss for these many bits. */
    public record Point(long bits, double loss) {}

    /** @param most bits that are ever asked for */
    public Allocation(List<Unit> units, long most) {
        this.units = List.copyOf(units);
        least = units.stream().mapToLong(u -> u.choices().get(0).bits()).sum();
        long divisor = 0;
        for (Unit unit : units) {
            for (Choice choice : unit.choices()) {
                divisor = gcd(divisor, choice.bits() - unit.choices().get(0).bits());
            }
        }
        long room = Math.max(0, most - least);
        step = Math.max(Math.max(1, divisor), (room + STEPS - 1) / STEPS);
        loss = new double[(int) (room / step) + 1];
        chosen = new byte[units.size()][loss.length];
        for (int u = 0; u < units.size(); u++) {
            add(units.get(u), chosen[u]);
        }
    }

    /** best(u, room) = min over choices c of loss(u, c) + best(u - 1, room - steps(c)). */
    private void add(Unit unit, byte[] choice) {
        double[] before = loss.clone();
        Arrays.fill(loss, Double.POSITIVE_INFINITY);
        for (int c = 0; c < unit.choices().size(); c++) {
            long more = unit.choices().get(c).bits() - unit.choices().get(0).bits();
            int steps = (int) Math.min(Integer.MAX_VALUE, (more + step - 1) / step);
            for (int room = steps; room < loss.length; room++) {
                double sum = before[room - steps] + unit.choices().get(c).loss();
                if (sum < loss[room]) {
                    loss[room] = sum;
                    choice[room] = (byte) c;
                }
            }
        }
    }

    private static long gcd(long a, long b) {
        return b == 0 ? a : gcd(b, a % b);
    }

    /** Bits that all units take at least. */
    public long least() {
        return least;
    }

    /** The choice of each unit for so many bits; null where they are too few for the cheapest of each. */
    public int @Nullable [] choose(long bits) {
        if (bits < least) {
            return null;
        }
        int room = (int) Math.min(loss.length - 1, (bits - least) / step);
        int[] choices = new int[units.size()];
        for (int u = units.size() - 1; u >= 0; u--) {
            Unit unit = units.get(u);
            choices[u] = chosen[u][room];
            long more = unit.choices().get(choices[u]).bits()
                    - unit.choices().get(0).bits();
            room -= (int) ((more + step - 1) / step);
        }
        return choices;
    }

    /** The least loss over the bits, at {@code points} places from the fewest bits to the most. */
    public List<Point> curve(int points) {
        List<Point> curve = new ArrayList<>();
        for (int p = 0; p < points; p++) {
            int room = (int) Math.round((double) p * (loss.length - 1) / Math.max(1, points - 1));
            curve.add(new Point(least + room * step, loss[room]));
        }
        return curve;
    }
}
