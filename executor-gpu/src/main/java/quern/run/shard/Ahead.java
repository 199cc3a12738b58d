package quern.run.shard;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.jspecify.annotations.Nullable;
import quern.run.workbench.SideBySide;

/** Calls whose results are taken in order, while threads of their own are a few calls ahead. */
final class Ahead<T> implements AutoCloseable {
    private final Iterator<? extends Callable<T>> calls;
    private final @Nullable ExecutorService pool; // none: who takes a result makes the call
    private final int window;
    private final Deque<Future<T>> running = new ArrayDeque<>();

    Ahead(Iterator<? extends Callable<T>> calls, int threads) {
        this.calls = calls;
        pool = threads > 1 ? Executors.newFixedThreadPool(threads) : null;
        window = threads + 2;
    }

    T next() throws IOException {
        try {
            if (pool == null) {
                return calls.next().call();
            }
            while (running.size() < window && calls.hasNext()) {
                running.add(pool.submit(calls.next()));
            }
            return running.remove().get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        } catch (ExecutionException e) {
            throw SideBySide.rethrown(e.getCause());
        } catch (Exception e) {
            throw SideBySide.rethrown(e);
        }
    }

    @Override
    public void close() {
        if (pool != null) {
            SideBySide.end(pool);
        }
    }
}
