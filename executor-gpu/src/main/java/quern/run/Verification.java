package quern.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Container;
import quern.format.Format;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.plan.Plan;
import quern.run.shard.ShardTasks;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.store.BlobStore;
import quern.tensor.Matrix;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * Looks at a written checkpoint from the outside, as a loader would, and compares it with its source. Each finding is a
 * sentence; none means that it holds.
 */
public final class Verification {
    private static final int HALF = 16; // bits of values that are stored as they are

    /** Far below what 2 bits reach (0.76 and more in all linears of three models), far above what mixed up codes do. */
    private static final double LEAST_COSINE = 0.1;

    private Verification() {}

    /** Names, types and shapes of all tensors against what the plan says that loaders expect. */
    public static List<String> names(Plan plan, TensorSource written) {
        List<String> findings = new ArrayList<>();
        Set<String> expected = new HashSet<>();
        for (Plan.Shard shard : plan.shards()) {
            for (Plan.ShardTensor tensor : shard.tensors()) {
                TensorSpec spec = tensor.spec();
                expected.add(spec.name());
                if (!written.names().contains(spec.name())) {
                    findings.add(spec.name() + " is missing");
                } else if (!written.spec(spec.name()).equals(spec)) {
                    findings.add(spec.name() + " is " + written.spec(spec.name()) + " and should be " + spec);
                }
            }
        }
        written.names().stream()
                .filter(n -> !expected.contains(n))
                .forEach(n -> findings.add(n + " does not belong there"));
        return findings;
    }

    /** Looks at all linears of a finished run. */
    public static List<String> linears(Plan plan, PlanRunner runner, BlobStore output) throws IOException {
        if (plan.casts()) {
            return Casting.verify(plan, runner, output);
        }
        List<String> findings = new ArrayList<>();
        if (plan.sites().isEmpty()) { // all are as they were, in another container
            runner.each(
                    plan,
                    "verify",
                    IntStream.range(0, plan.layers()).boxed().toList(),
                    (bench, layer, watch) -> unquantized(bench, layer),
                    new Stopwatch(),
                    findings::addAll);
            return findings;
        }
        runner.each(
                plan,
                "verify",
                new ArrayList<>(plan.sites()),
                (bench, site, watch) -> site(bench, site),
                new Stopwatch(),
                findings::addAll);
        return findings;
    }

    private static ArrayList<String> unquantized(Workbench bench, int layer) throws IOException {
        ArrayList<String> findings = new ArrayList<>();
        Model written = bench.writtenModel();
        for (Site site : bench.model().sites(layer)) {
            for (Linear linear : site.linears()) {
                findings.addAll(values(
                        HALF,
                        written.weight(written.linear(layer, linear.name())),
                        linear.name(),
                        bench.model().weight(linear)));
            }
        }
        return findings;
    }

    /** Unpacks the linears of a site from the final shards and compares them with the source's weights. */
    public static ArrayList<String> site(Workbench bench, Plan.SitePlan site) throws IOException {
        ArrayList<String> findings = new ArrayList<>();
        for (Plan.LinearPlan linear : site.linears()) {
            if (bench.plan().container() == Container.GGUF) {
                Model written = bench.writtenModel();
                findings.addAll(values(
                        linear.scheme().bits(),
                        written.weight(written.linear(site.layer(), linear.name())),
                        linear.name(),
                        bench.model().weight(bench.model().linear(site.layer(), linear.name()))));
                continue;
            }
            findings.addAll(linear(
                    bench.format(),
                    linear.scheme(),
                    bench.model().linear(site.layer(), linear.name()),
                    bench.written(),
                    bench.model()));
        }
        return findings;
    }

    /** Unpacks one linear; with its source compares the two. */
    public static List<String> linear(
            Format format, Scheme scheme, Linear linear, TensorSource written, @Nullable Model source)
            throws IOException {
        QuantizedLinear quantized;
        try {
            quantized = format.unpack(linear.name(), written, scheme);
        } catch (QuernException e) {
            return List.of(String.valueOf(e.getMessage()));
        }
        if (source == null) {
            return grid(linear.name(), quantized);
        }
        return compare(linear.name(), quantized, source.weight(linear));
    }

    /** Whether the codes stand for this weight, within what the scheme can do. */
    private static List<String> compare(String name, QuantizedLinear quantized, Matrix weight) {
        List<String> findings = new ArrayList<>(grid(name, quantized));
        findings.addAll(
                values(quantized.scheme().bits(), bound(quantized.scheme()), quantized.dequantize(), name, weight));
        return findings;
    }

    /**
     * Whether a weight of groups stands for another, within what so many bits can do.
     *
     * @param source null to look only whether all are numbers
     */
    public static List<String> values(int bits, Matrix written, String name, @Nullable Matrix source) {
        return values(bits, bound(bits), written, name, source == null ? written : source);
    }

    private static List<String> values(int bits, double bound, Matrix written, String name, Matrix source) {
        float[] values = written.values();
        double error = 0;
        double norm = 0;
        double own = 0;
        double product = 0;
        for (int i = 0; i < values.length; i++) {
            double w = source.values()[i];
            double e = values[i] - w;
            error += e * e;
            norm += w * w;
            own += (double) values[i] * values[i];
            product += values[i] * w;
        }
        Optional<String> finding = distance(name, error, norm, bits, bound);
        if (finding.isEmpty()) {
            finding = direction(name, product, own, norm);
        }
        return finding.map(List::of).orElse(List.of());
    }

    /**
     * What is wrong with the direction of a linear. Of few bits a distance does not tell: one whose codes were mixed up is 1.4 norms away
     * from its source, which is less than what is in order for 2 bits, but has nothing to do with it.
     *
     * @param product of its weights and the source's, summed
     * @param own the sum of its squared weights
     * @param norm that of the source's
     */
    private static Optional<String> direction(String name, double product, double own, double norm) {
        double cosine = own == 0 || norm == 0 ? 1 : product / Math.sqrt(own * norm);
        return cosine >= LEAST_COSINE
                ? Optional.empty()
                : Optional.of(
                        "%s has little to do with its source: the cosine between the two is %.3f; at least %.2f is in order"
                                .formatted(name, cosine, LEAST_COSINE));
    }

    /**
     * What is wrong with the distance of a linear from its source.
     *
     * @param error the sum of squared errors
     * @param norm the sum of squared weights
     */
    static Optional<String> distance(String name, double error, double norm, Scheme scheme) {
        return distance(name, error, norm, scheme.bits(), bound(scheme));
    }

    private static Optional<String> distance(String name, double error, double norm, int bits, double bound) {
        double relative = norm == 0 ? Math.sqrt(error) : Math.sqrt(error / norm);
        return relative <= bound
                ? Optional.empty()
                : Optional.of("%s differs from its source by %.3f of its norm; at %d bits at most %.2f is in order"
                        .formatted(name, relative, bits, bound));
    }

    /** Whether scales are numbers that mean something. */
    static List<String> grid(String name, QuantizedLinear quantized) {
        for (float scale : quantized.scales()) {
            if (scale == 0 || !Float.isFinite(scale)) { // some tools have negative ones
                return List.of(name + " has a scale of " + scale);
            }
        }
        return List.of();
    }

    /**
     * The largest relative error of a weight that still speaks for a sound quantization: about four times what rounding a
     * normal distribution to the grid costs, for where one input is far larger than the others, GPTQ moves what it can into those, and three
     * times is reached (0.39 to 0.40 with 4 bits in SmolLM2's {@code layers.11.mlp.down_proj}); half as much again where a scale reaches over a
     * whole row, in which a few weights may be much larger than the others. A swapped nibble costs more than 1.
     */
    private static double bound(Scheme scheme) {
        return scheme.groupSize() == -1 ? 1.5 * bound(scheme.bits()) : bound(scheme.bits());
    }

    private static double bound(int bits) {
        return switch (bits) {
            case HALF -> 0.01;
            case 8 -> 0.05;
            case 6 -> 0.1;
            case 5 -> 0.25;
            case 4 -> 0.5;
            case 3 -> 1;
            default -> 1.5;
        };
    }

    /** Checks the checksums of a finished checkpoint's shards against its marker. */
    public static List<String> checksums(BlobStore store, Map<String, String> sha256OfFile) throws IOException {
        List<String> findings = new ArrayList<>();
        for (Map.Entry<String, String> file : new HashMap<>(sha256OfFile).entrySet()) {
            if (!store.exists(file.getKey())) {
                findings.add(file.getKey() + " is missing");
                continue;
            }
            MessageDigest digest = ShardTasks.sha256();
            long length = store.length(file.getKey());
            for (long at = 0; at < length; at += 8 << 20) {
                ByteBuffer slice = store.read(file.getKey(), at, (int) Math.min(8 << 20, length - at));
                digest.update(slice);
            }
            if (!HexFormat.of().formatHex(digest.digest()).equals(file.getValue())) {
                findings.add(file.getKey() + " is not what was written: its checksum differs");
            }
        }
        return findings;
    }
}
