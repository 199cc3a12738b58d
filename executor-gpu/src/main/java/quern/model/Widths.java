package quern.model;

import java.util.Arrays;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/** The columns of each value of a program, found from what its operations know of them. */
final class Widths {
    private static final int UNKNOWN = 0;

    private final Program program;
    private final int[] widths;

    private Widths(Program program) {
        this.program = program;
        this.widths = new int[program.values()];
    }

    /**
     * @param outputs of linears, where nothing else tells them
     * @param from columns of what enters
     * @param to columns of what leaves
     */
    static Widths of(Program program, ModelConfig config, Function<Step, @Nullable Integer> outputs, int from, int to) {
        Widths widths = new Widths(program);
        widths.bind(0, from);
        widths.bind(program.result(), to);
        for (Step step : program.steps()) {
            Integer known = outputs.apply(step);
            if (known != null) {
                widths.bind(step.result(), known);
            }
        }
        widths.settle(config);
        for (Step step : program.steps()) {
            step.operation().assume(step, widths, config);
        }
        widths.settle(config);
        for (Step step : program.steps()) {
            if (widths.widths[step.result()] == UNKNOWN) {
                throw program.refused(step.line(), "nothing says how wide the result is");
            }
        }
        return widths;
    }

    /** What a line ties together may be known only further down; each round settles at least one value. */
    private void settle(ModelConfig config) {
        int[] before;
        do {
            before = widths.clone();
            for (Step step : program.steps()) {
                step.operation().bind(step, this, config);
            }
        } while (!Arrays.equals(before, widths));
    }

    boolean knows(int value) {
        return widths[value] != UNKNOWN;
    }

    int of(int value) {
        return widths[value];
    }

    /** Both values have the same columns. */
    void same(int a, int b) {
        if (widths[a] != UNKNOWN) {
            bind(b, widths[a]);
        } else if (widths[b] != UNKNOWN) {
            bind(a, widths[b]);
        }
    }

    /** The value has this many columns. */
    void bind(int value, int columns) {
        if (widths[value] != UNKNOWN && widths[value] != columns) {
            throw program.refused(
                    program.lineOf(value), "its result would be both " + widths[value] + " and " + columns + " wide");
        }
        widths[value] = columns;
    }
}
