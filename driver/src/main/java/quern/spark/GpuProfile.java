package quern.spark;

import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;
import org.jspecify.annotations.Nullable;

/**
 * One GPU for each task that computes, where executors have GPUs. Asked for by a profile of the RDD and not by
 * {@code spark.task.resource.gpu.amount}, so that reading text keeps all cores.
 */
final class GpuProfile {
    private GpuProfile() {}

    /** The profile, or none: in local mode Spark knows no task resources, and a job that asks would wait for ever. */
    static @Nullable ResourceProfile of(JavaSparkContext spark) {
        int gpus = spark.sc().conf().getInt("spark.executor.resource.gpu.amount", 0);
        if (spark.isLocal() || gpus == 0) {
            return null;
        }
        return new ResourceProfileBuilder()
                .require(new TaskResourceRequests().cpus(1).resource("gpu", 1))
                .build();
    }
}
