package quern.spark;

import java.io.Serializable;
import java.util.EnumMap;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;
import quern.run.Phase;
import quern.run.Stopwatch;

/** Brings the busy time of tasks to the driver. A task that was run twice counts twice: the time was spent. */
final class BusyTime implements Serializable {
    private final Map<Phase, LongAccumulator> nanos = new EnumMap<>(Phase.class);

    BusyTime(JavaSparkContext spark) {
        for (Phase phase : Phase.values()) {
            nanos.put(phase, spark.sc().longAccumulator());
        }
    }

    void add(Stopwatch task) {
        nanos.forEach((phase, sum) -> sum.add(task.nanos(phase)));
    }

    void addTo(Stopwatch watch) {
        nanos.forEach((phase, sum) -> watch.add(phase, sum.value()));
    }
}
