package quern.app;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.plan.Planner;
import quern.tensor.DType;
import scala.Tuple2;

/** Asks the executors what they are: the plan needs their device, not the driver's. */
final class Cluster {
    private Cluster() {}

    /**
     * What carries a plan out on this cluster.
     *
     * @param operands the type of operands of matrix products; none for the devices' own
     */
    static Planner.Machine machine(JavaSparkContext spark, @Nullable DType operands) {
        int slots = Math.max(1, spark.defaultParallelism());
        List<Integer> indices =
                new ArrayList<>(IntStream.range(0, slots).boxed().toList());
        List<String> found = spark.parallelize(indices, slots)
                .map(i -> probe(operands))
                .distinct()
                .collect();
        List<String[]> devices = found.stream().map(f -> f.split("\t", -1)).toList();
        List<String> types = devices.stream().map(d -> d[1]).distinct().toList();
        if (types.size() > 1) {
            throw new QuernException(
                    "Cannot plan for executors of different kinds, whose bytes would differ: %s (give the run machines of one kind)"
                            .formatted(String.join("; ", types)));
        }
        double gflops = devices.stream()
                .mapToDouble(d -> Double.parseDouble(d[3]))
                .min()
                .orElse(1);
        long heap = Runtime.getRuntime().maxMemory();
        String[] first = devices.get(0);
        return new Planner.Machine(first[0], first[1], DType.valueOf(first[2]), slots, gflops, slotMemory(spark, heap));
    }

    /** What a task may use: the physical memory of this machine by its slots; of a cluster Spark's settings say it. */
    private static long slotMemory(JavaSparkContext spark, long heap) {
        if (spark.isLocal()) {
            long total = physicalMemory();
            return total == 0 ? heap : total / Math.max(1, spark.defaultParallelism());
        }
        long executor = spark.sc().conf().getSizeAsBytes("spark.executor.memory", "1g");
        long overhead = spark.sc().conf().getSizeAsBytes("spark.executor.memoryOverhead", executor / 10 + "b");
        int cores = Math.max(1, spark.sc().conf().getInt("spark.executor.cores", 1));
        return (executor + overhead) / cores;
    }

    private static long physicalMemory() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/meminfo"))) {
                if (line.startsWith("MemTotal:")) {
                    return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
                }
            }
        } catch (IOException e) {
            return 0; // not Linux
        }
        return 0;
    }

    /** Name, type, compute type and measured GFLOP/s of this process's device. */
    private static String probe(@Nullable DType operands) {
        try (Device device = Devices.open("cpu", operands)) {
            int n = 1024;
            double seconds = Double.MAX_VALUE;
            try (DeviceMatrix x = device.zeros(n, n, device.computeType());
                    DeviceMatrix stored = device.zeros(n, n, device.computeType());
                    DeviceMatrix weight = device.forward().prepare(stored)) {
                int rounds = device.name().equals("java") ? 1 : 5;
                for (int i = 0; i < rounds; i++) {
                    long start = System.nanoTime();
                    device.forward().linear(x, weight, null, DType.F32).close();
                    seconds = Math.min(seconds, (System.nanoTime() - start) / 1e9);
                }
            }
            // Rounded, so that probes of equal machines are one line.
            double gflops = Math.max(1, Math.rint(2.0 * n * n * n / seconds / 1e10) * 10);
            return String.join(
                    "\t", device.name(), device.type(), device.computeType().name(), Double.toString(gflops));
        }
    }

    /** The largest resident memory so far of each process that runs tasks, by executor id. */
    static Map<String, Long> peakMemory(JavaSparkContext spark) {
        int tasks = 2 * Math.max(1, spark.defaultParallelism());
        List<Integer> indices =
                new ArrayList<>(IntStream.range(0, tasks).boxed().toList());
        Map<String, Long> peaks = new TreeMap<>();
        for (Tuple2<String, Long> p : spark.parallelize(indices, tasks)
                .map(i -> new Tuple2<>(SparkEnv.get().executorId(), peakResident()))
                .collect()) {
            peaks.merge(p._1(), p._2(), Math::max);
        }
        return peaks;
    }

    private static long peakResident() throws IOException {
        Path status = Path.of("/proc/self/status");
        if (Files.exists(status)) {
            for (String line : Files.readAllLines(status)) {
                if (line.startsWith("VmHWM:")) {
                    return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
                }
            }
        }
        return Runtime.getRuntime().totalMemory();
    }
}
