package quern.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A decoder layer as a straight line of steps, {@code name = operation(name, ..., module)}, one a line. It starts from
 * {@code x}, the residual stream, and ends with what {@code x} then is. Names may be given again; a step sees the latest.
 */
record Program(String file, List<Step> steps, int result) {
    private static final Pattern LINE = Pattern.compile("(\\w+)\\s*=\\s*(\\w+)\\s*\\(([^()]*)\\)");
    private static final Pattern MODULE = Pattern.compile("(\\w+(?:\\.(?:\\w+|\\{head}|\\{expert}))*)(?:\\[(\\w+)])?");
    private static final String STREAM = "x";

    Program {
        steps = List.copyOf(steps);
    }

    /** What leaves all as it is. */
    static Program none(String file) {
        return new Program(file, List.of(), 0);
    }

    /**
     * @param file for messages
     * @param firstLine where the text begins in it
     */
    static Program parse(String file, int firstLine, String text) {
        List<Step> steps = new ArrayList<>();
        Map<String, Integer> names = new HashMap<>(Map.of(STREAM, 0));
        int number = firstLine;
        for (String raw : text.split("\n", -1)) {
            int line = number++;
            String code = raw.replaceFirst("#.*", "").strip();
            if (!code.isEmpty()) {
                Matcher parts = LINE.matcher(code);
                if (!parts.matches()) {
                    throw refused(file, line, "'" + code + "' does not read 'name = operation(name, ...)'");
                }
                Step step = step(file, line, parts.group(2), parts.group(3), names, steps.size() + 1);
                steps.add(step);
                names.put(parts.group(1), step.result());
            }
        }
        int result = names.getOrDefault(STREAM, 0);
        if (result == 0) {
            throw refused(file, firstLine, "no step gives a new '" + STREAM + "'");
        }
        Program program = new Program(file, steps, result);
        program.refuseUnused();
        return program;
    }

    private static Step step(
            String file, int line, String word, String arguments, Map<String, Integer> names, int result) {
        Operation operation = Arrays.stream(Operation.values())
                .filter(o -> o.word().equals(word))
                .findFirst()
                .orElseThrow(() -> refused(
                        file,
                        line,
                        "operation '" + word + "' is not one of "
                                + String.join(
                                        ", ",
                                        Arrays.stream(Operation.values())
                                                .map(Operation::word)
                                                .toList())));
        List<String> given = new ArrayList<>(
                Arrays.stream(arguments.split(",")).map(String::strip).toList());
        String module = "";
        String part = "";
        if (operation.takesModule()) {
            String name = given.remove(given.size() - 1);
            Matcher parts = MODULE.matcher(name);
            if (!parts.matches()) {
                throw refused(file, line, "'" + name + "' is not the name of a module");
            }
            module = parts.group(1);
            part = parts.group(2) == null ? "" : parts.group(2);
        }
        String objection = operation.refuses(given.size());
        if (objection != null) {
            throw refused(file, line, objection);
        }
        List<Integer> operands = new ArrayList<>();
        for (String name : given) {
            Integer value = names.get(name);
            if (value == null) {
                throw refused(file, line, "'" + name + "' is used before it is given a value");
            }
            operands.add(value);
        }
        return new Step(line, operation, operands, module, part, result);
    }

    /** The step that a value is the result of; null if it was there before. */
    @Nullable
    Step making(int value) {
        return steps.stream().filter(s -> s.result() == value).findFirst().orElse(null);
    }

    /** A result that nobody reads is a slip of the pen. */
    private void refuseUnused() {
        int[] last = lastUses();
        for (Step step : steps) {
            if (last[step.result()] < 0) {
                throw refused(step.line(), "its result is not used");
            }
        }
    }

    /** Number of values, the entering one included. */
    int values() {
        return steps.stream().mapToInt(Step::result).max().orElse(0) + 1;
    }

    /** For each value the index of the last step that reads it; the number of steps for the result, -1 if nobody does. */
    int[] lastUses() {
        int[] last = new int[values()];
        Arrays.fill(last, -1);
        for (int i = 0; i < steps.size(); i++) {
            for (int operand : steps.get(i).operands()) {
                last[operand] = i;
            }
        }
        last[result] = steps.size();
        return last;
    }

    boolean has(Operation operation) {
        return steps.stream().anyMatch(step -> step.operation() == operation);
    }

    /** Whether the value is a term of a sum, perhaps after scaling, which is kept in F32. */
    boolean isAdded(int value) {
        return steps.stream()
                .filter(step -> step.operands().contains(value))
                .anyMatch(step -> switch (step.operation()) {
                    case ADD, POSITIONS -> true;
                    case SCALE, GATE -> step.operand(0) == value && (step.result() == result || isAdded(step.result()));
                    default -> false;
                });
    }

    /** The steps that read a value. */
    List<Step> readers(int value) {
        return steps.stream().filter(step -> step.operands().contains(value)).toList();
    }

    /** The step that makes a value; null for what enters. */
    @Nullable
    Step maker(int value) {
        return steps.stream().filter(step -> step.result() == value).findFirst().orElse(null);
    }

    /** Whether a value is there when a step begins. */
    boolean isBefore(int value, Step step) {
        Step maker = maker(value);
        return maker == null || steps.indexOf(maker) < steps.indexOf(step);
    }

    /** The steps that use this module; several if it is fused. */
    List<Step> of(String module) {
        return steps.stream().filter(step -> step.module().equals(module)).toList();
    }

    /** Linears that read the same value, in order of first use; of a fused one only the first part. */
    List<List<Step>> sites() {
        Map<Integer, List<Step>> byInput = new LinkedHashMap<>();
        Set<String> seen = new HashSet<>();
        for (Step step : steps) {
            if (step.operation() == Operation.LINEAR && seen.add(step.module())) {
                byInput.computeIfAbsent(step.operand(0), v -> new ArrayList<>()).add(step);
            }
        }
        return List.copyOf(byInput.values());
    }

    /** The linears whose outputs the result is a sum of, be they scaled or normed before. */
    List<Step> summands() {
        Set<Integer> terms = new HashSet<>(Set.of(result));
        List<Step> summands = new ArrayList<>();
        for (int i = steps.size() - 1; i >= 0; i--) {
            Step step = steps.get(i);
            if (!terms.contains(step.result())) {
                continue;
            }
            switch (step.operation()) {
                case ADD -> terms.addAll(step.operands());
                case SCALE, GATE, NORM -> terms.add(step.operand(0));
                case LINEAR -> summands.add(step);
                default -> {}
            }
        }
        return summands;
    }

    /** The linears that are kept as they are. */
    List<Step> kept() {
        return steps.stream().filter(step -> step.operation().isKept()).toList();
    }

    /** The same program with each {@code y = operation(x)} left out and x read in its place. */
    Program without(Operation operation) {
        Map<Integer, Integer> renamed = new HashMap<>();
        List<Step> kept = new ArrayList<>();
        for (Step step : steps) {
            List<Integer> operands = step.operands().stream()
                    .map(v -> renamed.getOrDefault(v, v))
                    .toList();
            if (step.operation() == operation) {
                renamed.put(step.result(), operands.get(0));
            } else {
                kept.add(new Step(step.line(), step.operation(), operands, step.module(), step.part(), step.result()));
            }
        }
        return new Program(file, kept, renamed.getOrDefault(result, result));
    }

    int lineOf(int value) {
        Optional<Step> step = steps.stream().filter(s -> s.result() == value).findFirst();
        return step.or(() -> steps.stream().findFirst()).map(Step::line).orElse(0);
    }

    IllegalArgumentException refused(int line, String reason) {
        return refused(file, line, reason);
    }

    /** An architecture file is ours: a mistake in it is a bug, not the user's to mend. */
    private static IllegalArgumentException refused(String file, int line, String reason) {
        return new IllegalArgumentException(String.format(Locale.ROOT, "%s:%d: %s", file, line, reason));
    }
}
