package quern.spark;

import java.io.IOException;
import java.io.Serializable;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;

/**
 * A value that all tasks of a job need: sent to each process once and read once there. A plan of a model with many layers is
 * large; inside a closure every task would read it anew. It travels as bytes, since Kryo cannot read records.
 */
final class Shared<T extends Serializable> implements Serializable {
    /** The last few values of this process, by broadcast. */
    private static final Map<Long, Object> HERE = Collections.synchronizedMap(new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, Object> eldest) {
            return size() > 16;
        }
    });

    private final Broadcast<byte[]> bytes;

    Shared(JavaSparkContext spark, T value) {
        bytes = spark.broadcast(SparkRunner.bytes(value));
    }

    @SuppressWarnings("unchecked") // what was put in comes out
    T value() throws IOException {
        Object here = HERE.get(bytes.id());
        if (here == null) {
            here = SparkRunner.value(bytes.value());
            HERE.put(bytes.id(), here);
        }
        return (T) here;
    }

    /** When the job is done. */
    void forget() {
        HERE.remove(bytes.id());
        bytes.unpersist();
    }
}
