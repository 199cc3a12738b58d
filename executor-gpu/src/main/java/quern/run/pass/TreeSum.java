package quern.run.pass;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.BinaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * Adds numbered values up along the binary tree over their numbers: 0 and 1, 2 and 3, then both pairs, and so on; where a number is missing its
 * sibling goes up as it is. A run of 2^k numbers that begins at a multiple of 2^k is a tree of its own: whoever adds it up by itself and
 * hands the sum on under the run's first number changes no rounding of the whole. As many values are open at a time as the tree is high.
 */
final class TreeSum<T> {
    private record Node<T>(int number, T value) {}

    private final BinaryOperator<T> plus;
    private final Deque<Node<T>> open = new ArrayDeque<>(); // the last first

    /** @param plus may change its first operand and return it */
    TreeSum(BinaryOperator<T> plus) {
        this.plus = plus;
    }

    /** @param number larger than any before */
    void add(int number, T value) {
        while (open.size() > 1 && joinedBefore(number)) {
            join();
        }
        open.push(new Node<>(number, value));
    }

    /** Whether the last two lie in a tree that the number is behind of. */
    private boolean joinedBefore(int number) {
        Node<T> last = open.pop();
        int height = height(open.getFirst().number(), last.number());
        open.push(last);
        return last.number() >>> height != number >>> height;
    }

    /** Of the smallest tree that holds both. */
    private static int height(int a, int b) {
        return Integer.SIZE - Integer.numberOfLeadingZeros(a ^ b);
    }

    private void join() {
        Node<T> last = open.pop();
        Node<T> before = open.pop();
        open.push(new Node<>(before.number(), plus.apply(before.value(), last.value())));
    }

    /** Of all; null if there was none. What was added is let go. */
    @Nullable
    T take() {
        while (open.size() > 1) {
            join();
        }
        return open.isEmpty() ? null : open.pop().value();
    }
}
