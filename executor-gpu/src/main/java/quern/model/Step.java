package quern.model;

import java.util.List;

/**
 * One step of a layer's program. Values are numbered: 0 is what enters the layer, n + 1 is the result of the nth line.
 *
 * @param line in its file, for messages
 * @param module name within the layer, empty for operations without one
 * @param part of a fused linear, empty for the whole
 */
record Step(int line, Operation operation, List<Integer> operands, String module, String part, int result) {
    Step {
        operands = List.copyOf(operands);
    }

    /** What its tensors are kept under. */
    String key() {
        return part.isEmpty() ? module : module + "[" + part + "]";
    }

    int operand(int i) {
        return operands.get(i);
    }
}
