package quern.run.shard;

import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import quern.format.Conversion;
import quern.format.Formats;
import quern.plan.Plan;
import quern.run.workbench.Phase;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.QuantizedLinear;
import quern.source.PackedLinears;
import quern.store.SafetensorsWriter;
import quern.tensor.TensorSpec;

/** What is done to a shard of a conversion, from file to file, and to a site when it is compared. */
public final class ConversionTasks {
    private ConversionTasks() {}

    private static PackedLinears packed(Workbench bench) {
        return PackedLinears.of(bench.model().source(), bench.model().config().quantization());
    }

    /** Writes a final shard: each linear unpacked, in the target's scheme, packed; one at a time. */
    public static ShardTasks.ShardManifest shard(Workbench bench, Plan.Shard shard, Stopwatch watch)
            throws IOException {
        PackedLinears packed = packed(bench);
        Conversion conversion = new Conversion(packed.format(), bench.format());
        Map<String, Plan.LinearPlan> linears = new HashMap<>();
        bench.plan().sites().forEach(s -> s.linears().forEach(l -> linears.put(l.name(), l)));
        Map<TensorSpec, String> linearOf = new HashMap<>();
        shard.tensors().forEach(t -> linearOf.put(t.spec(), t.linear()));
        Map<TensorSpec, ByteBuffer> open = new HashMap<>(); // of one linear, whose tensors follow each other
        List<TensorSpec> specs =
                shard.tensors().stream().map(Plan.ShardTensor::spec).toList();
        String sha = watch.time(
                Phase.WRITE,
                () -> ShardTasks.write(bench, shard.file(), specs, bench.metadata(), (spec, out) -> {
                    String name = Objects.requireNonNull(linearOf.get(spec));
                    if (name.isEmpty()) {
                        ShardTasks.copy(bench.model().tensors(), spec, out);
                        return;
                    }
                    if (!open.containsKey(spec)) {
                        open.clear();
                        Plan.LinearPlan linear = Objects.requireNonNull(linears.get(name));
                        QuantizedLinear converted = conversion.of(name, packed.read(name), linear.scheme());
                        List<TensorSpec> layout =
                                bench.format().layout(name, linear.outputs(), linear.inputs(), linear.scheme());
                        List<ByteBuffer> bytes = bench.format().pack(converted);
                        for (int i = 0; i < layout.size(); i++) {
                            open.put(layout.get(i), bytes.get(i));
                        }
                    }
                    SafetensorsWriter.copy(Objects.requireNonNull(open.get(spec)), out);
                }));
        return new ShardTasks.ShardManifest(shard.file(), bench.output().length(shard.file()), sha);
    }

    /**
     * What a comparison found.
     *
     * @param largest difference of a weight, as a share of it
     */
    public record Compared(ArrayList<String> findings, double largest) implements Serializable {}

    /** Reads the linears of a site back from both checkpoints and compares every weight. */
    public static Compared compare(Workbench bench, Plan.SitePlan site, Stopwatch watch) throws IOException {
        PackedLinears packed = packed(bench);
        ArrayList<String> findings = new ArrayList<>();
        double largest = 0;
        for (Plan.LinearPlan linear : site.linears()) {
            double bound =
                    Conversion.bound(packed.scheme(linear.name(), linear.outputs(), linear.inputs()), linear.scheme());
            float[] before = packed.read(linear.name()).dequantize().values();
            float[] after = Formats.named(bench.plan().recipe().format())
                    .unpack(linear.name(), bench.written(), linear.scheme())
                    .dequantize()
                    .values();
            double most = 0;
            for (int i = 0; i < before.length; i++) {
                double difference = Math.abs((double) after[i] - before[i]);
                most = Math.max(most, difference == 0 ? 0 : difference / Math.abs(before[i]));
            }
            if (!(most <= bound)) {
                findings.add("%s differs from its source by %.3g of a weight, %s is allowed"
                        .formatted(linear.name(), most, bound == 0 ? "nothing" : "%.3g".formatted(bound)));
            }
            largest = Math.max(largest, most);
        }
        return new Compared(findings, largest);
    }
}
