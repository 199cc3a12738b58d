package quern.app;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import quern.QuernException;
import quern.run.workbench.StoreOpener;
import quern.store.BlobStore;

/** What executors see of the places that this machine sees: all where they run here, what is shared where they do not. */
final class Sight {
    private final JavaSparkContext spark;
    private final StoreOpener stores;

    Sight(JavaSparkContext spark, StoreOpener stores) {
        this.spark = spark;
        this.stores = stores;
    }

    /** Whether the executors, asked on every slot, have this file as it is here. */
    boolean reaches(String location, String file) throws IOException {
        if (spark.isLocal()) {
            return true;
        }
        int slots = Math.max(1, spark.defaultParallelism());
        long length = stores.open(location).length(file);
        StoreOpener opener = stores; // this object does not travel
        List<Integer> indices =
                new ArrayList<>(IntStream.range(0, slots).boxed().toList());
        return !spark.parallelize(indices, slots)
                .map(i -> sees(opener.open(location), file, length))
                .collect()
                .contains(false);
    }

    private static boolean sees(BlobStore store, String file, long length) throws IOException {
        return store.exists(file) && store.length(file) == length;
    }

    /** Refuses to go on with a place that executors do not see. */
    void require(String doing, String location, String file) throws IOException {
        if (!reaches(location, file)) {
            throw new QuernException(
                    "Cannot %s %s: the executors of %s do not see what this machine has there (give a place that all machines share, hdfs:// or s3a:// or a mount; for models and texts of the Hub set HF_HOME to one)"
                            .formatted(doing, location, spark.master()));
        }
    }
}
