package quern.run.workbench;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/** Work on threads of its own. */
public final class SideBySide {
    private SideBySide() {}

    /** Returns when all is done. The first failure is thrown as what it was: nothing begins after it, and what runs is interrupted. */
    public static void run(int threads, List<? extends Callable<?>> work) throws IOException {
        ExecutorService pool = new ThreadPoolExecutor(
                threads,
                threads,
                0,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                new ThreadPoolExecutor.DiscardPolicy()); // of what is submitted after a failure
        AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
        for (Callable<?> each : work) {
            pool.execute(() -> {
                try {
                    each.call();
                } catch (Throwable e) { // thrown below
                    failure.compareAndSet(null, e);
                    pool.shutdownNow(); // on this thread, which would else begin the next
                }
            });
        }
        pool.shutdown();
        try {
            pool.awaitTermination(Long.MAX_VALUE, TimeUnit.NANOSECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        } finally {
            end(pool);
        }
        if (failure.get() != null) {
            throw rethrown(failure.get());
        }
    }

    /** Waits for what still runs: after a failure its device may be closed, which nothing must then use. */
    public static void end(ExecutorService pool) {
        pool.shutdownNow();
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    if (pool.awaitTermination(1, TimeUnit.MINUTES)) {
                        return;
                    }
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    public static IOException rethrown(@Nullable Throwable cause) {
        if (cause instanceof IOException io) {
            return io;
        }
        if (cause instanceof RuntimeException runtime) {
            throw runtime;
        }
        if (cause instanceof Error error) {
            throw error;
        }
        throw new IllegalStateException(cause);
    }
}
