package quern.app;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import quern.QuernException;
import quern.format.Formats;
import quern.model.Model;
import quern.plan.ByteCount;
import quern.plan.ConversionPlanner;
import quern.plan.Plan;
import quern.progress.Progress;
import quern.run.Publication;
import quern.run.Verification;
import quern.run.shard.ConversionTasks;
import quern.run.shard.ShardTasks;
import quern.run.workbench.RunFolder;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;
import quern.spark.SparkRunner;
import quern.store.BlobStore;
import quern.store.Checkpoint;

/** One {@code quern convert}: shards written side by side from a quantized checkpoint, then compared with it weight by weight. */
final class ConvertJob {
    private final JavaSparkContext spark;
    private final StoreOpener stores;
    private final Progress progress;

    ConvertJob(JavaSparkContext spark, StoreOpener stores, Progress progress) {
        this.spark = spark;
        this.stores = stores;
        this.progress = progress;
    }

    /**
     * Returns what to tell a person, line by line.
     *
     * @param name what a person calls the model
     * @param format the target's
     */
    List<String> run(String name, String source, String output, String format, long maxShardBytes) throws IOException {
        Model model = Model.open(stores.open(source));
        ConversionPlanner.Decided conversion = ConversionPlanner.plan(
                model, source, output, format, maxShardBytes, Cluster.machine(spark, model.operands(), "cpu"));
        BlobStore target = stores.open(output);
        OutputFolder.claim(target, conversion.plan(), false);
        OutputFolder.begin(target, conversion.plan());
        try {
            Sight sight = new Sight(spark, stores);
            sight.require("write to", output, new RunFolder(conversion.plan().id()).plan());
            Plan plan = sight.reaches(source, "config.json")
                    ? conversion.plan()
                    : new SourceCopy(stores.open(source), target, progress).of(conversion.plan());
            return publish(name, plan, conversion, model, target);
        } catch (QuernException e) {
            OutputFolder.clean(target); // what the user must mend is not mended by going on
            throw e;
        }
    }

    private List<String> publish(
            String name, Plan plan, ConversionPlanner.Decided conversion, Model model, BlobStore target)
            throws IOException {
        SparkRunner runner = new SparkRunner(spark, stores);
        List<ShardTasks.ShardManifest> shards = new ArrayList<>();
        runner.each(
                plan, "convert", new ArrayList<>(plan.shards()), ConversionTasks::shard, new Stopwatch(), shards::add);
        String from = conversion.packed().format().name();
        double largest = new Publication(plan, model, target)
                .publish(
                        shards,
                        Map.of("quern", Version.NUMBER, "model", name, "convertedFrom", from),
                        files -> verify(plan, runner, target));
        Workbench.release(plan);
        target.delete(RunFolder.ROOT);
        long linears = plan.sites().stream().mapToLong(s -> s.linears().size()).sum();
        long bytes = shards.stream().mapToLong(ShardTasks.ShardManifest::bytes).sum();
        List<String> lines = new ArrayList<>(List.of(
                "converted   %s, %s, to %s: %d linears, %s"
                        .formatted(
                                name, model.source().lossy(), plan.recipe().format(), linears, ByteCount.text(bytes)),
                conversion.bound() == 0
                        ? "lossless    every weight is the one that it was; all were compared"
                        : String.format(
                                Locale.ROOT,
                                "bounded     scales are rounded to another type: a weight differs by at most %.3g of itself (bound %.3g); all were compared",
                                largest,
                                conversion.bound())));
        if (Formats.named(plan.recipe().format()).quantizesActivations()
                && !conversion.packed().format().quantizesActivations()) {
            lines.add("note        its loaders quantize the inputs of linears, too, when the model runs");
        }
        if (model.source().isPacked(model.embedding())) {
            lines.add("note        the embedding, in few bits in the source, is written as numbers of 16 bits");
        }
        return lines;
    }

    /** Nothing is called done before it has been read again. */
    private double verify(Plan plan, SparkRunner runner, BlobStore target) throws IOException {
        List<String> findings = new ArrayList<>(Verification.names(plan, Checkpoint.open(target)));
        double[] largest = {0};
        runner.each(
                plan, "compare", new ArrayList<>(plan.sites()), ConversionTasks::compare, new Stopwatch(), compared -> {
                    findings.addAll(compared.findings());
                    largest[0] = Math.max(largest[0], compared.largest());
                });
        if (!findings.isEmpty()) {
            throw new IllegalStateException("What was written does not hold: " + String.join("; ", findings));
        }
        return largest[0];
    }
}
