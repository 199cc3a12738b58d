package quern.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import quern.device.Device;
import quern.device.Devices;
import quern.model.Model;
import quern.plan.Plan;
import quern.plan.Planner;
import quern.run.LocalRunner;
import quern.run.Publication;
import quern.run.Quantization;
import quern.run.pass.CalibrationTokens;
import quern.run.workbench.Phase;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.StoreOpener;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.store.LocalStore;

/**
 * How long a Llama takes on a GPU, from plan to finished checkpoint: the default recipe (GPTQ, four bits, groups of 128), 128 x 2048
 * random tokens, the source written just before and so in the page cache. Arguments: a folder for the checkpoints (twice the model's
 * size), the shapes ({@code 8b}, {@code 70b}, {@code tiny}), the number of layers, the number of threads, and for a projection a second, larger number
 * of layers and the whole model's. Not yet run on a GPU.
 */
final class LlamaRun {
    private static final StoreOpener STORES = location -> new LocalStore(Path.of(location));

    private final Path folder;
    private final String shapes;
    private final int threads;
    private final Device device;

    private LlamaRun(Path folder, String shapes, int threads, Device device) {
        this.folder = folder;
        this.shapes = shapes;
        this.threads = threads;
        this.device = device;
    }

    public static void main(String[] args) throws IOException {
        int layers = Integer.parseInt(args[2]);
        int threads = Integer.parseInt(args[3]);
        try (Device device = Devices.open("cuda")) {
            LlamaRun run = new LlamaRun(Path.of(args[0]), args[1], threads, device);
            System.out.println(device.type());
            double few = run.quantized(layers);
            if (args.length > 4) {
                int more = Integer.parseInt(args[4]);
                int all = Integer.parseInt(args[5]);
                double each = (run.quantized(more) - few) / (more - layers);
                System.out.printf(
                        Locale.ROOT,
                        "projection for %s, not measured: %.2f s for each further layer, hence %.0f s for all %d, on a straight line through %d and %d%n",
                        args[1],
                        each,
                        few + (all - layers) * each,
                        all,
                        layers,
                        more);
            }
        }
    }

    /** Seconds of one run of the model with so many layers; it leaves nothing behind. */
    private double quantized(int layers) throws IOException {
        LlamaOfNoise llama = LlamaOfNoise.named(shapes, layers);
        Path source = folder.resolve("source");
        Path output = folder.resolve("output");
        delete(source);
        delete(output);
        try {
            long start = System.nanoTime();
            llama.write(source, Math.min(threads, 8));
            System.out.printf(
                    Locale.ROOT,
                    "%s with %d layers: %.2f GB of weights written in %.1f s%n",
                    shapes,
                    layers,
                    llama.bytes() / 1e9,
                    seconds(start));
            return quantized(source, output, llama);
        } finally {
            delete(source);
            delete(output);
        }
    }

    private double quantized(Path source, Path output, LlamaOfNoise llama) throws IOException {
        boolean tiny = shapes.equals("tiny");
        int sequences = tiny ? 8 : 128;
        int length = tiny ? 64 : 2048;
        SplittableRandom random = new SplittableRandom(1);
        List<int[]> windows = new ArrayList<>();
        for (int s = 0; s < sequences; s++) {
            windows.add(random.ints(length, 0, llama.vocabulary()).toArray());
        }
        long start = System.nanoTime();
        Model model = Model.open(new LocalStore(source));
        Planner.Machine machine = new Planner.Machine(
                device.name(),
                device.type(),
                device.computeType(),
                threads,
                device.ownMemory() > 0 ? 1 : 0,
                1,
                device.ownMemory());
        Planner.Tokens tokens = new Planner.Tokens("random", "0", sequences, length);
        Plan plan = Planner.plan(
                model,
                new Planner.Request(
                        source.toString(), output.toString(), Recipe.DEFAULT, 0, 5_000_000_000L, tokens, machine));
        CalibrationTokens.write(STORES.open(plan.output()), plan, windows);
        double planned = seconds(start);
        Progress progress = new Progress(start);
        Quantization.Result result;
        try {
            result = new Quantization(List.of(plan), new LocalRunner(STORES, threads), STORES, progress).run();
            new Publication(plan, model, STORES.open(plan.output()))
                    .publish(result.shards(), java.util.Map.of(), List::copyOf);
        } finally {
            Workbench.release(plan);
        }
        double all = seconds(start);
        double written = all - progress.solved;
        System.out.printf(
                Locale.ROOT,
                "%s with %d layers, %d x %d tokens, %d threads: %.2f s from plan to finished checkpoint%n"
                        + "  plan %.2f s, layers %.2f s (%.3f s each), shards %.2f s%n",
                shapes,
                llama.layers(),
                sequences,
                length,
                threads,
                all,
                planned,
                progress.solved - planned,
                (progress.solved - planned) / llama.layers(),
                written);
        System.out.print("  time of all threads, waits for the GPU where they fall:");
        for (Phase phase : Phase.values()) {
            System.out.printf(
                    Locale.ROOT, " %s %.1f s", phase.label(), result.watch().seconds(phase));
        }
        System.out.println();
        double ours = 0;
        double nearest = 0;
        for (SiteManifest site : result.sites()) {
            for (SiteManifest.LinearManifest linear : site.linears()) {
                ours += linear.loss();
                nearest += linear.roundToNearest();
            }
        }
        System.out.printf(Locale.ROOT, "  loss over that of round-to-nearest: %.4f%n", ours / nearest);
        if (!(ours < nearest)) {
            throw new IllegalStateException("What came out is no better than round-to-nearest");
        }
        return all;
    }

    private static double seconds(long start) {
        return (System.nanoTime() - start) / 1e9;
    }

    /** When the last site was done, and a line now and then. */
    private static final class Progress implements Quantization.Listener {
        private final long start;
        private double solved;
        private int sites;

        Progress(long start) {
            this.start = start;
        }

        @Override
        public void stage(String name, int begin, int end) {}

        @Override
        public void site(SiteManifest manifest, double lossRatio) {
            sites++;
            if (sites % 16 == 0) {
                System.out.printf(Locale.ROOT, "  %3d sites after %.1f s%n", sites, seconds(start));
            }
        }

        @Override
        public void writing(int shards) {
            solved = seconds(start);
        }
    }

    private static void delete(Path folder) throws IOException {
        if (!Files.exists(folder)) {
            return;
        }
        try (Stream<Path> all = Files.walk(folder)) {
            for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
