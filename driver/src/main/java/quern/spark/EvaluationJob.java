package quern.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.device.Device;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.model.Model;
import quern.run.workbench.StoreOpener;
import quern.tensor.DType;

/** Perplexity, KL and agreement as a Spark job over windows of tokens, in fp32. */
public final class EvaluationJob {
    /** Windows of a task: a layer is loaded once for all of them. */
    private static final int WINDOWS = 16;

    private EvaluationJob() {}

    /**
     * @param subject where the model to judge is
     * @param reference what it is compared with, or none
     * @param device the name of a device; null for a GPU where executors have one
     */
    public static Score run(
            JavaSparkContext spark,
            StoreOpener stores,
            String subject,
            @Nullable String reference,
            List<int[]> windows,
            @Nullable String device) {
        int slots = Math.max(1, spark.defaultParallelism());
        int perTask = Math.max(1, Math.min(WINDOWS, (windows.size() + slots - 1) / slots));
        int tasks = (windows.size() + perTask - 1) / perTask;
        List<Integer> indices =
                new ArrayList<>(IntStream.range(0, tasks).boxed().toList());
        List<int[]> sent = new ArrayList<>(windows);
        spark.sc().setJobDescription("evaluate " + subject + " on " + windows.size() + " windows");
        List<double[]> sums = GpuProfile.applied(spark.parallelize(indices, tasks), spark)
                .map(i -> LostDevice.guarded(() -> scores(
                        stores,
                        subject,
                        reference,
                        sent.subList(i * perTask, Math.min((i + 1) * perTask, sent.size())),
                        GpuProfile.device(device))))
                .collect();
        Score total = Score.NONE;
        for (double[] s : sums) {
            for (int at = 0; at < s.length; at += 4) {
                total = total.plus(new Score(s[at], s[at + 1], (long) s[at + 2], (long) s[at + 3]));
            }
        }
        return total;
    }

    /** Four numbers for each window, so that they are added in the order of the windows. */
    private static double[] scores(
            StoreOpener stores, String subject, @Nullable String reference, List<int[]> windows, String name)
            throws IOException {
        try (Device device = Devices.open(name, DType.F32)) {
            Subject judged = Subject.stored(Model.open(stores.open(subject)));
            Subject compared = reference == null ? null : Subject.stored(Model.open(stores.open(reference)));
            return Evaluation.scores(judged, compared, windows, device).stream()
                    .flatMapToDouble(s -> DoubleStream.of(s.nll(), s.kl(), s.agree(), s.tokens()))
                    .toArray();
        }
    }
}
