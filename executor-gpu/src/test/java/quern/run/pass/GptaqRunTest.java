package quern.run.pass;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.device.DeviceMatrix;
import quern.method.Drift;
import quern.plan.Plan;
import quern.run.LocalRunner;
import quern.run.Quantization;
import quern.run.ToyModel;
import quern.run.ToyRun;
import quern.run.workbench.Layers;
import quern.run.workbench.Pass;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/** Linears that are held to what they give in full precision. */
class GptaqRunTest {
    private static final int DOWN = 3; // the rank of the last site of a layer

    @TempDir
    Path folder;

    private Path source;

    @BeforeEach
    void model() throws IOException {
        source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), 2, 7);
    }

    private static List<int[]> tokens() {
        return ToyModel.tokens(24, 32, 1);
    }

    /** What became of the sites of layers [0, end); their pieces stay. */
    private static List<SiteManifest> solved(Plan plan, int end) throws IOException {
        CalibrationTokens.write(ToyRun.STORES.open(plan.output()), plan, tokens());
        Quantization run = new Quantization(
                List.of(plan), new LocalRunner(ToyRun.STORES, 2), ToyRun.STORES, Quantization.Listener.SILENT);
        run.solve();
        return run.sites(plan).stream().filter(site -> site.layer() < end).toList();
    }

    @Test
    void inputs_are_compared_with_those_of_the_model_in_full_precision() throws IOException {
        Plan plan = ToyRun.plan(source, folder.resolve("out"), ToyRun.recipe("gptaq"), 1);
        List<SiteManifest> all = solved(plan, 2);
        Workbench bench = Workbench.of(plan, ToyRun.STORES);

        isCompared(bench, 0, 0, DOWN, all); // linears of the layer come before it
        isCompared(bench, 0, 1, 0, all); // the layer before does
        isCompared(bench, 0, 1, DOWN, all); // both
        store(bench, all);
        isCompared(bench, 1, 1, DOWN, all); // both streams are what was stored
    }

    /** What enters layer 1, with layer 0 quantized. */
    private static void store(Workbench bench, List<SiteManifest> all) throws IOException {
        List<SiteManifest> before =
                all.stream().filter(site -> site.layer() == 0).toList();
        Pass pass = new Pass(0, 1, 1, 0, List.of(1), before);
        try (PartsPass parts = new PartsPass(bench, pass, new Parts(0, pass.parts(bench.plan())), new Stopwatch())) {
            while (parts.hasNext()) {
                assertThat(parts.next()).isEmpty();
            }
            parts.finish();
        }
    }

    /** A site of a layer, with what comes before it quantized. */
    private static void isCompared(Workbench bench, int from, int layer, int rank, List<SiteManifest> all)
            throws IOException {
        List<SiteManifest> before = all.stream()
                .filter(site -> site.layer() < layer || (site.layer() == layer && site.site() < rank))
                .toList();
        Pass pass = new Pass(from, layer + 1, layer, rank, List.of(), before);

        Drift drift = drift(bench, pass);
        int n = drift.inputsOnHost().rows();
        int outputs =
                rank == DOWN ? Objects.requireNonNull(drift.streamOnHost()).rows() : 0;
        double[][] inputs = new double[n][n];
        double[][] stream = new double[outputs][n];
        double[] squares = new double[2];
        for (int[] sequence : tokens()) {
            Seen own = seen(bench, pass, entering(bench, pass, sequence, layer), layer, rank);
            Pass inFull = pass.inFullPrecision();
            Seen full = seen(bench, inFull, entering(bench, inFull, sequence, layer), layer, rank);
            squares[0] += add(full.input(), own.input(), own.input(), inputs);
            if (outputs > 0) {
                squares[1] += add(full.stream(), own.stream(), own.input(), stream);
            }
        }
        isClose(drift.inputsOnHost(), inputs);
        assertThat((double) drift.squares()[0]).isPositive().isCloseTo(squares[0], within(1e-3 * squares[0]));
        if (outputs > 0) {
            isClose(Objects.requireNonNull(drift.streamOnHost()), stream);
            assertThat((double) drift.squares()[1]).isPositive().isCloseTo(squares[1], within(1e-3 * squares[1]));
        } else {
            assertThat(drift.streamOnHost()).isNull();
        }
    }

    /** What enters a layer; rounded where the pass begins there, with what was stored. */
    private static Matrix entering(Workbench bench, Pass pass, int[] sequence, int layer) throws IOException {
        Matrix entering = forward(bench, pass, sequence, layer);
        if (pass.from() > 0) {
            float[] values = entering.values();
            for (int i = 0; i < values.length; i++) {
                values[i] = HalfFloats.round(values[i], bench.plan().computeType());
            }
        }
        return entering;
    }

    /** Adds (full - own) xT, and gives |full - own|^2. */
    private static double add(@Nullable Matrix full, @Nullable Matrix own, Matrix x, double[][] sum) {
        double squares = 0;
        for (int t = 0; t < x.rows(); t++) {
            for (int i = 0; i < sum.length; i++) {
                double far = Objects.requireNonNull(full).at(t, i)
                        - Objects.requireNonNull(own).at(t, i);
                squares += far * far;
                for (int j = 0; j < x.cols(); j++) {
                    sum[i][j] += far * x.at(t, j);
                }
            }
        }
        return squares;
    }

    /** Differences of two forwards, which round on their own. */
    private static void isClose(Matrix sum, double[][] expected) {
        double largest = Arrays.stream(expected)
                .flatMapToDouble(Arrays::stream)
                .map(Math::abs)
                .max()
                .orElse(0);
        for (int i = 0; i < expected.length; i++) {
            for (int j = 0; j < sum.cols(); j++) {
                assertThat((double) sum.at(i, j)).isCloseTo(expected[i][j], within(1e-3 * largest));
            }
        }
    }

    private static Drift drift(Workbench bench, Pass pass) {
        Drift drift = null;
        Parts all = new Parts(0, pass.parts(bench.plan()));
        try (PartsPass parts = new PartsPass(bench, pass, all, new Stopwatch())) {
            while (parts.hasNext()) {
                for (PartsPass.OfSite site : parts.next()) {
                    try (GrowingStatistics statistics = site.statistics()) {
                        drift = statistics.onHost().drift();
                    }
                }
            }
        }
        return Objects.requireNonNull(drift);
    }

    /** At a site: its input, and what its output is added to. */
    private record Seen(Matrix input, @Nullable Matrix stream) {}

    /** In a whole forward of a layer. */
    private static Seen seen(Workbench bench, Pass pass, Matrix entering, int layer, int rank) throws IOException {
        List<Seen> seen = new ArrayList<>();
        try (Layers.Lent lent = bench.layers().take(pass, layer);
                DeviceMatrix x = bench.device().upload(entering, DType.F32)) {
            lent.layer()
                    .forward(x, entering.rows(), (site, input, stream) -> {
                        if (site.rank() == rank) {
                            seen.add(new Seen(
                                    bench.device().download(input),
                                    stream == null ? null : bench.device().download(stream)));
                        }
                    })
                    .close();
        }
        return seen.get(0);
    }

    /** What enters a layer, or leaves the last one. */
    private static Matrix forward(Workbench bench, Pass pass, int[] sequence, int layers) throws IOException {
        DeviceMatrix x = bench.entry().forward(sequence, sequence.length);
        for (int layer = 0; layer < layers; layer++) {
            try (Layers.Lent lent = bench.layers().take(pass, layer);
                    DeviceMatrix entering = x) {
                x = lent.layer().forward(entering, sequence.length, null);
            }
        }
        try (DeviceMatrix left = x) {
            return bench.device().download(left);
        }
    }

    @Test
    void what_leaves_the_last_layer_is_nearer_to_full_precision() throws IOException {
        Map<String, Double> errors = new HashMap<>();
        for (String method : List.of("gptq", "gptaq")) {
            Path output = folder.resolve(method);
            Recipe recipe = ToyRun.recipe(method).edit().trueSequential(true).recipe();
            Plan plan = ToyRun.plan(source, output, recipe, 1);
            Pass pass = new Pass(0, 2, 0, DOWN, List.of(), solved(plan, 2));
            Workbench bench = Workbench.of(plan, ToyRun.STORES);
            double error = 0;
            for (int[] sequence : tokens()) {
                Matrix full = forward(bench, pass.inFullPrecision(), sequence, 2);
                error += distance(forward(bench, pass, sequence, 2), full);
            }
            errors.put(method, error);
        }
        assertThat(errors.get("gptaq")).isLessThan(0.98 * errors.get("gptq"));
    }

    private static double distance(Matrix a, Matrix b) {
        double sum = 0;
        for (int i = 0; i < a.values().length; i++) {
            sum += Math.pow(a.values()[i] - b.values()[i], 2);
        }
        return sum;
    }
}
