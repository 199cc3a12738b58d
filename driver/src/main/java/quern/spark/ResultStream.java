package quern.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.IntStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import quern.run.workbench.Done;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/**
 * Runs a job whose partitions each give one value, and hands each value over when its task is done instead of all at the
 * end: that is what progress and the run log live on.
 */
final class ResultStream {
    private ResultStream() {}

    static void run(JavaRDD<byte[]> results, Done<byte[]> done) throws IOException {
        BlockingQueue<Optional<byte[]>> finished = new LinkedBlockingQueue<>();
        int count = results.getNumPartitions();
        // The scheduler's thread only enqueues; what is done with a result may take its time.
        CompletableFuture<Void> job = new CompletableFuture<>();
        Thread runner = new Thread(
                () -> {
                    try {
                        results.context()
                                .runJob(
                                        results.rdd(),
                                        new First(),
                                        CollectionConverters.asScala(IntStream.range(0, count)
                                                        .boxed()
                                                        .map(Object.class::cast)
                                                        .toList())
                                                .toSeq(),
                                        new AbstractFunction2<Object, byte[], BoxedUnit>() {
                                            @Override
                                            public BoxedUnit apply(Object partition, byte[] value) {
                                                finished.add(Optional.of(value));
                                                return BoxedUnit.UNIT;
                                            }
                                        },
                                        ClassTag$.MODULE$.apply(byte[].class));
                        job.complete(null);
                    } catch (Throwable e) { // reported on the caller's thread
                        job.completeExceptionally(e);
                    }
                    finished.add(Optional.empty());
                },
                Thread.currentThread().getName() + " job");
        runner.setDaemon(true);
        runner.start();
        try {
            for (Optional<byte[]> next = finished.take(); next.isPresent(); next = finished.take()) {
                done.accept(next.get());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        }
        if (job.isCompletedExceptionally()) {
            Throwable cause = job.handle((nothing, e) -> e).join();
            throw new IOException(cause.getMessage(), cause);
        }
    }

    private static final class First extends AbstractFunction2<TaskContext, Iterator<byte[]>, byte[]>
            implements Serializable {
        @Override
        public byte[] apply(TaskContext context, Iterator<byte[]> values) {
            return values.next();
        }
    }
}
