package quern.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/** Calls beside the roof that each is under: printed as they are measured, and written as JSON. */
final class GpuTable {
    private final GpuRoofs roofs;
    private final GpuClock clock;
    private final List<Row> rows = new ArrayList<>();
    private boolean failed;

    GpuTable(GpuRoofs roofs, GpuClock clock) {
        this.roofs = roofs;
        this.clock = clock;
        System.out.printf(
                "%-46s %10s %10s %10s %9s %9s %7s  %s%n",
                "call", "median ms", "least", "most", "TFLOP/s", "GB/s", "of roof", "which");
    }

    GpuRoofs roofs() {
        return roofs;
    }

    /** Whether a call could not do what it has to. */
    boolean failed() {
        return failed;
    }

    /**
     * What was measured of one call.
     *
     * @param seconds median, least, most
     * @param operations multiplications and additions
     * @param bytes of device memory
     * @param peak of the unit that does the operations, a second
     */
    private record Row(
            String name,
            double[] seconds,
            double operations,
            double bytes,
            double peak,
            double bandwidth,
            String note) {
        /** What cannot be gone under. */
        double floor() {
            return Math.max(operations / peak, bytes / bandwidth);
        }

        String roof() {
            return operations / peak >= bytes / bandwidth ? "operations" : "bytes";
        }
    }

    void add(String name, Runnable call, double operations, double bytes, double peak, String note) {
        add(name, () -> clock.time(call), operations, bytes, peak, note);
    }

    /** What one call cannot do keeps no other from being measured. */
    void add(String name, Supplier<double[]> seconds, double operations, double bytes, double peak, String note) {
        try {
            add(new Row(name, seconds.get(), operations, bytes, peak, roofs.memory(), note));
        } catch (RuntimeException e) {
            failed = true;
            System.out.println(name + " FAILED: " + e);
        }
    }

    private void add(Row row) {
        rows.add(row);
        double median = row.seconds()[0];
        System.out.printf(
                Locale.ROOT,
                "%-46s %10.3f %10.3f %10.3f %9.2f %9.0f %6.0f%%  %s%s%n",
                row.name(),
                median * 1e3,
                row.seconds()[1] * 1e3,
                row.seconds()[2] * 1e3,
                row.operations() / median / 1e12,
                row.bytes() / median / 1e9,
                100 * row.floor() / median,
                row.roof(),
                row.note().isEmpty() ? "" : " (" + row.note() + ")");
    }

    void write(String device, Path file) throws IOException {
        ObjectMapper json = new ObjectMapper();
        ObjectNode all = json.createObjectNode();
        all.put("device", device);
        ObjectNode measured = all.putObject("roofs");
        measured.put("bf16FlopPerSecond", roofs.bf16());
        measured.put("fp32FlopPerSecond", roofs.fp32());
        measured.put("memoryBytesPerSecond", roofs.memory());
        measured.put("uploadBytesPerSecond", roofs.bus());
        ArrayNode list = all.putArray("rows");
        for (Row row : rows) {
            ObjectNode one = list.addObject();
            one.put("call", row.name());
            one.put("medianSeconds", row.seconds()[0]);
            one.put("leastSeconds", row.seconds()[1]);
            one.put("mostSeconds", row.seconds()[2]);
            one.put("operations", row.operations());
            one.put("bytes", row.bytes());
            one.put("peakFlopPerSecond", row.peak());
            one.put("floorSeconds", row.floor());
            one.put("roof", row.roof());
            one.put("note", row.note());
        }
        json.writerWithDefaultPrettyPrinter().writeValue(file.toFile(), all);
    }
}
