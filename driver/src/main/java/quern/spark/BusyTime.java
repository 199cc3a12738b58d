package quern.spark;

import java.io.Serializable;
import java.util.EnumMap;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.util.LongAccumulator;
import quern.run.workbench.Phase;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;

/** Brings the busy time of tasks to the driver, and what they made smaller. A task that was run twice counts twice: the time was spent. */
final class BusyTime implements Serializable {
    private final Map<Phase, LongAccumulator> nanos = new EnumMap<>(Phase.class);
    private final Map<Squeeze, LongAccumulator> squeezed = new EnumMap<>(Squeeze.class);

    BusyTime(JavaSparkContext spark) {
        for (Phase phase : Phase.values()) {
            nanos.put(phase, spark.sc().longAccumulator());
        }
        for (Squeeze squeeze : Squeeze.values()) {
            squeezed.put(squeeze, spark.sc().longAccumulator());
        }
    }

    void add(Stopwatch task) {
        nanos.forEach((phase, sum) -> sum.add(task.nanos(phase)));
        squeezed.forEach((squeeze, sum) -> sum.add(task.times(squeeze)));
    }

    void addTo(Stopwatch watch) {
        nanos.forEach((phase, sum) -> watch.add(phase, sum.value()));
        squeezed.forEach((squeeze, sum) -> watch.add(squeeze, sum.value()));
    }
}
