package quern.model;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Chooses among the lines of a program by a config: {@code if condition:}, then lines that stand further in, then perhaps
 * {@code else:} and others. What is left is a straight line again; nothing is decided while it runs.
 */
final class Branches {
    private static final Pattern IF = Pattern.compile("if (.+):");

    private Branches() {}

    private record Branch(int indent, boolean taken, boolean holds, boolean isElse) {}

    /** The text with an empty line for each that is not chosen, so that lines keep their numbers. */
    static String chosen(String text, Predicate<String> holds) {
        StringBuilder chosen = new StringBuilder();
        Deque<Branch> open = new ArrayDeque<>();
        for (String line : text.split("\n", -1)) {
            String code = line.replaceFirst("#.*", "").strip();
            if (!code.isEmpty()) {
                int indent = line.length() - line.stripLeading().length();
                Branch closed = null;
                while (!open.isEmpty() && open.element().indent() >= indent) {
                    closed = open.remove();
                }
                boolean taken = open.isEmpty() || open.element().taken();
                Matcher condition = IF.matcher(code);
                if (condition.matches()) {
                    boolean yes = holds.test(condition.group(1));
                    open.push(new Branch(indent, taken && yes, yes, false));
                } else if (code.equals("else:")) {
                    if (closed == null || closed.indent() != indent || closed.isElse()) {
                        throw new IllegalArgumentException("there is an 'else:' without an 'if'");
                    }
                    open.push(new Branch(indent, taken && !closed.holds(), false, true));
                } else if (taken) {
                    chosen.append(line);
                }
            }
            chosen.append('\n');
        }
        return chosen.toString();
    }
}
