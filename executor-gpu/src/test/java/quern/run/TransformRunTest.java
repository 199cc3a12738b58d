package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import quern.QuernException;
import quern.device.Device;
import quern.device.Devices;
import quern.evaluate.Evaluation;
import quern.evaluate.Score;
import quern.evaluate.Subject;
import quern.model.Model;
import quern.plan.Plan;
import quern.run.workbench.SiteManifest;
import quern.run.workbench.Workbench;
import quern.scheme.Recipe;
import quern.scheme.RecipeReader;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;

/** Transforms from the plan to the checkpoint. */
class TransformRunTest {
    private static final int LAYERS = 4;

    @TempDir
    Path folder;

    private Path source() throws IOException {
        Path source = folder.resolve("source");
        if (!source.toFile().exists()) {
            ToyModel.write(new LocalStore(source), LAYERS, 7);
        }
        return source;
    }

    private static Recipe recipe(String transform) {
        return ToyRun.recipe().edit().transform(transform).recipe();
    }

    private Plan plan(String output, Recipe recipe, int stages) throws IOException {
        return ToyRun.plan(source(), folder.resolve(output), recipe, stages);
    }

    private void run(Plan plan, int threads, Quantization.Listener listener) throws IOException {
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, threads), listener);
    }

    @ParameterizedTest
    @CsvSource({"awq, 4", "smoothquant, 1", "hadamard, 1", "hadamard, 2"})
    void threadsDoNotChangeTheBytesAndTheCheckpointHolds(String transform, int stages) throws IOException {
        Recipe recipe = recipe(transform);
        Plan plan = plan("two", recipe, stages);
        run(plan("one", recipe, stages), 1, Quantization.Listener.SILENT);
        run(plan, 2, Quantization.Listener.SILENT);
        assertThat(ToyRun.bytes(folder.resolve("two"))).isEqualTo(ToyRun.bytes(folder.resolve("one")));
        Checkpoint written = Checkpoint.open(new LocalStore(folder.resolve("two")));
        assertThat(Verification.names(plan, written)).isEmpty();
        Workbench bench = Workbench.of(plan, ToyRun.STORES);
        for (Plan.SitePlan site : plan.sites()) {
            assertThat(Verification.site(bench, site)).isEmpty();
        }
        Model model = Model.open(new LocalStore(folder.resolve("two")));
        assertThat(model.tied()).isEqualTo(!transform.equals("hadamard"));
        Model original = Model.open(new LocalStore(source()));
        String norm = "model.layers.1.input_layernorm.weight";
        assertThat(written.read(norm)).isNotEqualTo(original.tensors().read(norm));
        // At 8 bits nearly nothing is lost; a weight that is not its neighbours' costs more than 1.
        Plan fine = plan("eight", eightBits(transform), stages);
        run(fine, 2, Quantization.Listener.SILENT);
        assertThat(divergence(folder.resolve("eight"))).isBetween(1e-12, 1e-3);
        assertThat(divergence(folder.resolve("two"))).isGreaterThan(divergence(folder.resolve("eight")));
    }

    private static Recipe eightBits(String transform) {
        return RecipeReader.read("{bits: 8, group-size: 32, transform: " + transform + "}", "test");
    }

    private double divergence(Path checkpoint) throws IOException {
        try (Device device = Devices.open("java", DType.F32)) {
            Score sum = Score.NONE;
            for (Score score : Evaluation.scores(
                    Subject.stored(Model.open(new LocalStore(checkpoint))),
                    Subject.stored(Model.open(new LocalStore(source()))),
                    ToyModel.tokens(4, 32, 3),
                    device)) {
                sum = sum.plus(score);
            }
            return sum.meanKl();
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4})
    void aRestartFindsWhatWasFitted(int stages) throws IOException {
        Recipe recipe = recipe("awq");
        run(plan("whole", recipe, stages), 2, Quantization.Listener.SILENT);
        for (int survived : new int[] {1, 3, 9}) {
            Plan plan = plan("cut" + survived, recipe, stages);
            AtomicInteger left = new AtomicInteger(survived);
            Cutting cutting = new Cutting(left);
            assertThatThrownBy(() -> run(plan, 1, cutting)).hasMessage("cut off");
            AtomicInteger fittedAgain = new AtomicInteger();
            run(plan, 2, new Quantization.Listener() {
                @Override
                public void stage(String name, int begin, int end) {}

                @Override
                public void fitting(int begin, int end, int layers) {
                    fittedAgain.incrementAndGet();
                }

                @Override
                public void site(SiteManifest manifest, double lossRatio) {}

                @Override
                public void writing(int shards) {}
            });
            assertThat(fittedAgain.get() == 0).isEqualTo(survived >= LAYERS);
            assertThat(ToyRun.bytes(folder.resolve("cut" + survived))).isEqualTo(ToyRun.bytes(folder.resolve("whole")));
        }
    }

    /** Ends a run when so many waves are fitted, or sites done. */
    private record Cutting(AtomicInteger left) implements Quantization.Listener {
        private void count() {
            if (left.getAndDecrement() == 0) {
                throw new IllegalStateException("cut off");
            }
        }

        @Override
        public void stage(String name, int begin, int end) {}

        @Override
        public void fitting(int begin, int end, int layers) {
            count();
        }

        @Override
        public void site(SiteManifest manifest, double lossRatio) {
            count();
        }

        @Override
        public void writing(int shards) {}
    }

    /** AWQ's clipping. */
    @Test
    void roundToNearestSearchesScalesByTheInputsThatATransformAsksFor() throws IOException {
        Recipe recipe = RecipeReader.read("{method: rtn, bits: 3, group-size: 32, transform: awq}", "test");
        Plan plan = plan("out", recipe, 0);
        Quantization.Result result = ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        assertThat(result.sites()).hasSize(4 * LAYERS).allSatisfy(site -> {
            assertThat(site.tokens()).isEqualTo(24 * 32);
            assertThat(site.linears()).allSatisfy(l -> assertThat(l.loss()).isLessThan(l.roundToNearest()));
        });
        Plan without = plan("x", RecipeReader.read("{method: rtn, bits: 3, group-size: 32}", "test"), 0);
        assertThat(without.gathering().any()).isFalse();
    }

    @Test
    void theIdOfAPlanDependsOnTheTransform() throws IOException {
        String none = plan("x", ToyRun.recipe(), 1).id();
        String awq = plan("x", recipe("awq"), 1).id();
        assertThat(awq).isNotEqualTo(none);
        assertThat(plan("x", recipe("hadamard"), 1).id()).isNotIn(none, awq);
    }

    @Test
    void anUnknownTransformIsRefused() {
        assertThatThrownBy(() -> plan("x", recipe("quip"), 1))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith(
                        "Cannot use transform quip: it is unknown (use one of none, awq, smoothquant, hadamard");
    }
}
