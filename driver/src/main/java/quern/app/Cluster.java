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
import quern.spark.GpuProfile;
import quern.tensor.DType;
import scala.Tuple2;

/** Asks the executors what they are: the plan needs their device, not the driver's. */
final class Cluster {
    private Cluster() {}

    /**
     * What carries a plan out on this cluster.
     *
     * @param operands the type of operands of matrix products; none for the devices' own
     * @param device the name of a device; null for a GPU where executors have one
     */
    static Planner.Machine machine(JavaSparkContext spark, @Nullable DType operands, @Nullable String device) {
        int slots = Math.max(1, spark.defaultParallelism());
        List<Integer> indices =
                new ArrayList<>(IntStream.range(0, slots).boxed().toList());
        boolean local = spark.isLocal();
        List<Probe> found = GpuProfile.applied(spark.parallelize(indices, slots), spark)
                .map(i -> probe(operands, device).line())
                .distinct()
                .collect()
                .stream()
                .map(Probe::of)
                .toList();
        List<String> types = found.stream().map(Probe::type).distinct().toList();
        if (types.size() > 1) {
            throw new QuernException(
                    "Cannot plan for executors of different kinds, whose bytes would differ: %s (give the run machines of one kind)"
                            .formatted(String.join("; ", types)));
        }
        double gflops = found.stream().mapToDouble(Probe::gflops).min().orElse(1);
        Probe first = found.get(0);
        if (first.memory() == 0) {
            long heap = Runtime.getRuntime().maxMemory();
            return new Planner.Machine(
                    first.device(), first.type(), first.compute(), slots, gflops, slotMemory(spark, heap));
        }
        // In one process all slots share its GPU.
        long executors = found.stream().map(Probe::executor).distinct().count();
        long memory = found.stream().mapToLong(Probe::memory).min().orElse(0);
        return new Planner.Machine(
                first.device(),
                first.type(),
                first.compute(),
                local ? slots : (int) executors,
                (int) executors,
                gflops,
                memory);
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

    /**
     * What an executor computes on.
     *
     * @param compute its compute type
     * @param gflops measured, of products in that type
     * @param memory bytes of its own that a process may use; 0 where that is the host's
     */
    private record Probe(String executor, String device, String type, DType compute, double gflops, long memory) {
        String line() {
            return String.join("\t", executor, device, type, compute.name(), gflops + "", memory + "");
        }

        static Probe of(String line) {
            String[] parts = line.split("\t", -1);
            return new Probe(
                    parts[0],
                    parts[1],
                    parts[2],
                    DType.valueOf(parts[3]),
                    Double.parseDouble(parts[4]),
                    Long.parseLong(parts[5]));
        }
    }

    private static Probe probe(@Nullable DType operands, @Nullable String wanted) {
        try (Device device = Devices.open(GpuProfile.device(wanted), operands)) {
            double gflops = gflops(device, 1024);
            if (gflops > 2000) {
                gflops = gflops(device, 8192); // what is faster is not busy with less
            }
            // Rounded, so that probes of equal machines are one line.
            double rounded = Math.max(1, Math.rint(gflops / 10) * 10);
            return new Probe(
                    SparkEnv.get().executorId(),
                    device.name(),
                    device.type(),
                    device.computeType(),
                    rounded,
                    device.ownMemory());
        }
    }

    private static double gflops(Device device, int n) {
        double seconds = Double.MAX_VALUE;
        try (DeviceMatrix x = device.zeros(n, n, device.computeType());
                DeviceMatrix stored = device.zeros(n, n, device.computeType());
                DeviceMatrix weight = device.forward().prepare(stored);
                DeviceMatrix small = device.zeros(1, 1, DType.F32)) {
            int rounds = device.name().equals("java") ? 1 : 5;
            for (int i = 0; i < rounds; i++) {
                device.download(small); // nothing is under way
                long start = System.nanoTime();
                device.forward().linear(x, weight, null, DType.F32).close();
                device.download(small); // it is done
                seconds = Math.min(seconds, (System.nanoTime() - start) / 1e9);
            }
        }
        return 2.0 * n * n * n / seconds / 1e9;
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
