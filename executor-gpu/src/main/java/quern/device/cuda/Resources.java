package quern.device.cuda;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.Consumer;

/** What was opened, to be closed in the other order: all of it at the end, or what there is when the next does not open. */
final class Resources implements AutoCloseable {
    private final Deque<Runnable> ends = new ArrayDeque<>();

    synchronized <T> T own(T opened, Consumer<T> end) {
        ends.push(() -> end.accept(opened));
        return opened;
    }

    @Override
    public synchronized void close() {
        while (!ends.isEmpty()) {
            ends.pop().run();
        }
    }
}
