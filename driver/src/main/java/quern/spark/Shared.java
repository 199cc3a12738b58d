package quern.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * A value that all tasks of a job need: sent to each process once and read once there. A plan of a model with many layers is
 * large; inside a closure every task would read it anew. It travels as bytes, since Kryo cannot read records.
 */
final class Shared<T extends Serializable> implements Serializable {
    /** The last few values of this process. */
    private static final Map<String, Object> HERE = Collections.synchronizedMap(new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Object> eldest) {
            return size() > 16;
        }
    });

    /** Not the broadcast's own number: each context counts from 0. */
    private final String key = UUID.randomUUID().toString();

    private final Broadcast<byte[]> bytes;

    Shared(JavaSparkContext spark, T value) {
        bytes = spark.broadcast(SparkRunner.bytes(value));
    }

    @SuppressWarnings("unchecked") // what was put in comes out
    T value() throws IOException {
        Object here = HERE.get(key);
        if (here == null) {
            here = SparkRunner.value(bytes.value());
            HERE.put(key, here);
        }
        return (T) here;
    }

    /** When the job is done. */
    void forget() {
        HERE.remove(key);
        bytes.unpersist();
    }
}
