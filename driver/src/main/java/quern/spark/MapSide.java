package quern.spark;

import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageCompleted;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Hears when the map side of this thread's next job is done. Events may come late, and none when Spark drops some: who waits
 * must also take the end of the job for a sign.
 */
final class MapSide extends SparkListener implements AutoCloseable {
    private static final String PROPERTY = "quern.job";

    private final JavaSparkContext spark;
    private final Runnable done;
    private final String job = UUID.randomUUID().toString();
    private final Set<Integer> stages = ConcurrentHashMap.newKeySet();

    private MapSide(JavaSparkContext spark, Runnable done) {
        this.spark = spark;
        this.done = done;
    }

    static MapSide watch(JavaSparkContext spark, Runnable done) {
        MapSide listener = new MapSide(spark, done);
        spark.sc().addSparkListener(listener);
        spark.setLocalProperty(PROPERTY, listener.job);
        return listener;
    }

    @Override
    public void onJobStart(SparkListenerJobStart start) {
        if (job.equals(start.properties().getProperty(PROPERTY))) {
            CollectionConverters.asJava(start.stageInfos()).stream()
                    .filter(stage -> stage.parentIds().isEmpty())
                    .forEach(stage -> stages.add(stage.stageId()));
        }
    }

    @Override
    public void onStageCompleted(SparkListenerStageCompleted completed) {
        if (stages.contains(completed.stageInfo().stageId())
                && completed.stageInfo().failureReason().isEmpty()) {
            done.run();
        }
    }

    @Override
    public void close() {
        spark.setLocalProperty(PROPERTY, null);
        spark.sc().removeSparkListener(this);
    }
}
