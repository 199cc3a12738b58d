package quern.spark;

import java.util.concurrent.Callable;
import java.util.function.Supplier;
import org.apache.spark.SparkEnv;
import org.jspecify.annotations.Nullable;
import quern.device.DeviceLost;

/**
 * What becomes of an executor whose device is lost: it could do nothing more than to fail every task that it is given. So the task fails
 * with an error that Spark takes as the process's end: the reason goes to the driver's log, the executor ends, and its work goes
 * to others or to the process that Spark starts in its place.
 */
final class LostDevice {
    private LostDevice() {}

    /** Runs a part of a task. */
    static <T> T guarded(Callable<T> work) throws Exception {
        try {
            return work.call();
        } catch (Exception e) {
            endIfLost(e);
            throw e;
        }
    }

    /** The same without checked exceptions. */
    static <T> T watched(Supplier<T> work) {
        try {
            return work.get();
        } catch (RuntimeException e) {
            endIfLost(e);
            throw e;
        }
    }

    private static void endIfLost(Exception e) {
        DeviceLost lost = within(e);
        // Without executors the process is the driver, which says what happened and ends by itself.
        if (lost != null && !SparkEnv.get().executorId().equals("driver")) {
            throw new InternalError(lost.getMessage(), e);
        }
    }

    private static @Nullable DeviceLost within(Throwable failure) {
        for (Throwable t = failure; t != null; t = t.getCause()) {
            if (t instanceof DeviceLost lost) {
                return lost;
            }
        }
        return null;
    }
}
