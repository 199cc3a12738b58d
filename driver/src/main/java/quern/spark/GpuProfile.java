package quern.spark;

import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;
import org.jspecify.annotations.Nullable;
import quern.device.Devices;

/**
 * One GPU for each task that computes, where executors have GPUs. Asked for by a profile of the RDD and not by
 * {@code spark.task.resource.gpu.amount}, so that reading text keeps all cores. An executor has one GPU, for what is on it stays from
 * task to task.
 */
public final class GpuProfile {
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

    /** The same work, by tasks that are given a GPU each where executors have some. */
    public static <T> JavaRDD<T> applied(JavaRDD<T> work, JavaSparkContext spark) {
        ResourceProfile profile = of(spark);
        return profile == null ? work : work.withResources(profile);
    }

    /** In a task: the GPU that it was given becomes this process's; false if it was given none. */
    public static boolean take() {
        ResourceInformation gpu = TaskContext.get().resourcesJMap().get("gpu");
        if (gpu == null || gpu.addresses().length == 0) {
            return false;
        }
        Devices.assignGpu(gpu.addresses()[0]);
        return true;
    }

    /**
     * In a task: the name of the device that it computes on, which takes the GPU that it was given.
     *
     * @param asked for; null for a GPU where the task was given one, or where no executor but this process computes
     */
    public static String device(@Nullable String asked) {
        boolean given = take();
        if (asked != null) {
            return asked;
        }
        boolean alone = SparkEnv.get().executorId().equals("driver");
        return given || alone ? Devices.fastest() : "cpu";
    }
}
