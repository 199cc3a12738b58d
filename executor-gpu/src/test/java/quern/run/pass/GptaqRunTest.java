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
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import quern.device.DeviceMatrix;
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
import quern.tensor.Matrix;

/** Linears that are held to what they give in the layer in full precision. */
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

    /** What became of the sites of the first layer; their pieces stay. */
    private static List<SiteManifest> firstLayer(Plan plan) throws IOException {
        CalibrationTokens.write(ToyRun.STORES.open(plan.output()), plan, tokens());
        Quantization run = new Quantization(
                List.of(plan), new LocalRunner(ToyRun.STORES, 2), ToyRun.STORES, Quantization.Listener.SILENT);
        run.solve();
        return run.sites(plan).stream().filter(site -> site.layer() == 0).toList();
    }

    @Test
    void inputs_are_compared_with_those_of_the_layer_in_full_precision() throws IOException {
        Plan plan = ToyRun.plan(source, folder.resolve("out"), ToyRun.recipe("gptaq"), 1);
        List<SiteManifest> before =
                firstLayer(plan).stream().filter(site -> site.site() < DOWN).toList();
        Workbench bench = Workbench.of(plan, ToyRun.STORES);
        Pass pass = new Pass(0, 1, 0, DOWN, List.of(), before);

        Matrix cross = cross(bench, pass);
        int n = cross.rows();
        double[][] expected = new double[n][n];
        for (int[] sequence : tokens()) {
            Matrix full = input(bench, pass.inFullPrecision(), sequence);
            Matrix own = input(bench, pass, sequence);
            assertThat(distance(full, own)).isPositive();
            for (int t = 0; t < sequence.length; t++) {
                for (int i = 0; i < n; i++) {
                    for (int j = 0; j < n; j++) {
                        expected[i][j] += full.at(t, i) * own.at(t, j);
                    }
                }
            }
        }
        double largest = Arrays.stream(expected)
                .flatMapToDouble(Arrays::stream)
                .map(Math::abs)
                .max()
                .orElse(0);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                assertThat((double) cross.at(i, j)).isCloseTo(expected[i][j], within(1e-4 * largest));
            }
        }
    }

    private static Matrix cross(Workbench bench, Pass pass) {
        Matrix cross = null;
        Parts all = new Parts(0, pass.parts(bench.plan()));
        try (PartsPass parts = new PartsPass(bench, pass, all, new Stopwatch())) {
            while (parts.hasNext()) {
                for (PartsPass.OfSite site : parts.next()) {
                    try (GrowingStatistics statistics = site.statistics()) {
                        cross = statistics.onHost().cross();
                    }
                }
            }
        }
        return Objects.requireNonNull(cross);
    }

    /** What a whole forward of the first layer gives its last site. */
    private static Matrix input(Workbench bench, Pass pass, int[] sequence) throws IOException {
        List<Matrix> seen = new ArrayList<>();
        forward(bench, pass, sequence, seen);
        return seen.get(0);
    }

    /** Of the first layer. */
    private static Matrix forward(Workbench bench, Pass pass, int[] sequence, List<Matrix> seen) throws IOException {
        try (Layers.Lent layer = bench.layers().take(pass, 0);
                DeviceMatrix x = bench.entry().forward(sequence, sequence.length);
                DeviceMatrix y = layer.layer().forward(x, sequence.length, (site, input) -> {
                    if (site.rank() == DOWN) {
                        seen.add(bench.device().download(input));
                    }
                })) {
            return bench.device().download(y);
        }
    }

    @Test
    void what_leaves_the_layer_is_nearer_to_full_precision() throws IOException {
        Map<String, Double> errors = new HashMap<>();
        for (String method : List.of("gptq", "gptaq")) {
            Path output = folder.resolve(method);
            Recipe recipe = ToyRun.recipe(method).edit().trueSequential(true).recipe();
            Plan plan = ToyRun.plan(source, output, recipe, 1);
            Pass pass = new Pass(0, 1, 0, DOWN, List.of(), firstLayer(plan));
            Workbench bench = Workbench.of(plan, ToyRun.STORES);
            double error = 0;
            for (int[] sequence : tokens()) {
                Matrix full = forward(bench, pass.inFullPrecision(), sequence, new ArrayList<>());
                error += distance(forward(bench, pass, sequence, new ArrayList<>()), full);
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
