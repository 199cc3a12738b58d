package quern.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Supplier;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/** Seconds of calls of a device, by the host's clock: median, least and most of repeats after some that do not count. */
final class GpuClock {
    private static final int SHORTEST_NANOS = 20_000_000;
    private static final long LONGEST_NANOS = 1_200_000_000L;
    private static final int REPEATS = 15;

    private final Device device;
    private final DeviceMatrix flag; // 1 x 1, F32: reading it waits for all that was asked for

    GpuClock(Device device) {
        this.device = device;
        flag = device.zeros(1, 1, DType.F32);
    }

    /** Of a call that can follow itself: as many in a row as fill some milliseconds. */
    double[] time(Runnable call) {
        call.run();
        settle();
        long start = System.nanoTime();
        call.run();
        settle();
        long once = Math.max(1, System.nanoTime() - start);
        int calls = (int) Math.max(1, Math.min(1000, SHORTEST_NANOS / once));
        List<Double> seconds = new ArrayList<>();
        long end = System.nanoTime() + LONGEST_NANOS;
        for (int i = 0; i < 3 || (i < REPEATS && System.nanoTime() < end); i++) {
            start = System.nanoTime();
            for (int c = 0; c < calls; c++) {
                call.run();
            }
            settle();
            seconds.add((System.nanoTime() - start) / 1e9 / calls);
        }
        return summary(seconds);
    }

    /** Of a call that spoils its operand: the time of the call alone. */
    double[] time(Supplier<DeviceMatrix> operand, Consumer<DeviceMatrix> call) {
        List<Double> seconds = new ArrayList<>();
        long end = System.nanoTime() + LONGEST_NANOS;
        for (int i = 0; i < 5 || (i < 2 + REPEATS && System.nanoTime() < end); i++) {
            try (DeviceMatrix fresh = operand.get()) {
                settle();
                long start = System.nanoTime();
                call.accept(fresh);
                settle();
                if (i >= 2) {
                    seconds.add((System.nanoTime() - start) / 1e9);
                }
            }
        }
        return summary(seconds);
    }

    private static double[] summary(List<Double> seconds) {
        double[] sorted = seconds.stream().mapToDouble(d -> d).sorted().toArray();
        return new double[] {sorted[sorted.length / 2], sorted[0], sorted[sorted.length - 1]};
    }

    private void settle() {
        device.download(flag);
    }
}
