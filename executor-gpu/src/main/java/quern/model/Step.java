package quern.model;

import java.util.List;

/**
 * One step of a layer's program. Values are numbered: 0 is what enters the layer, n + 1 is the result of the nth line.
 *
 * @param line in its file, for messages
 * @param module name within the layer, empty for operations without one
 */
record Step(int line, Operation operation, List<Integer> operands, String module, int result) {
    Step {
        operands = List.copyOf(operands);
    }

    int operand(int i) {
        return operands.get(i);
    }
}
