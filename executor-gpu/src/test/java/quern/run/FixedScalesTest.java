package quern.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.model.DecoderLayer;
import quern.model.Entry;
import quern.model.Linear;
import quern.model.Model;
import quern.model.Site;
import quern.model.Tap;
import quern.model.Weights;
import quern.plan.Plan;
import quern.run.workbench.Workbench;
import quern.scheme.FixedScales;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/** Scales of activations, against the largest values that one pass over all tokens meets. */
class FixedScalesTest {
    private static final int LAYERS = 3;

    @TempDir
    Path folder;

    private static Recipe recipe(String method, String format, boolean trueSequential) {
        return Recipe.OPEN
                .edit()
                .method(method)
                .format(format)
                .bits(8)
                .groupSize(-1)
                .scales(ScaleRule.MAX)
                .percdamp(0.01)
                .trueSequential(trueSequential)
                .fixed(new FixedScales(true, true))
                .recipe();
    }

    @ParameterizedTest
    @CsvSource({
        "rtn, compressed-tensors-fp8, 448, 0, false",
        "rtn, compressed-tensors-int8, 127.5, 1, true",
        "gptq, compressed-tensors-int8, 127.5, 0, false"
    })
    void are_those_of_the_largest_values(String method, String format, float reach, int stages, boolean trueSequential)
            throws IOException {
        Path source = folder.resolve("source");
        Path output = folder.resolve("output");
        ToyModel.write(new LocalStore(source), LAYERS, 7);
        Plan plan = ToyRun.plan(source, output, recipe(method, format, trueSequential), stages);
        ToyRun.run(plan, new LocalRunner(ToyRun.STORES, 2), Quantization.Listener.SILENT);
        Checkpoint written = Checkpoint.open(new LocalStore(output));
        assertThat(Verification.names(plan, written)).isEmpty();
        Workbench.release(plan);

        Map<String, Float> largest = largest(Model.open(new LocalStore(source)), plan);
        assertThat(largest).hasSize(LAYERS * (7 + 2));
        largest.forEach((name, magnitude) -> {
            boolean cache = name.endsWith("k_scale") || name.endsWith("v_scale");
            float scale = read(written, name);
            // Stages of quantized layers, and rounding to bfloat16, move it a little.
            assertThat(scale).as(name).isCloseTo(magnitude / (cache ? 448 : reach), within(0.02f * scale));
        });
    }

    @Test
    void are_refused_where_loaders_have_none() throws IOException {
        Path source = folder.resolve("source");
        ToyModel.write(new LocalStore(source), LAYERS, 7);
        assertThatThrownBy(() -> ToyRun.plan(
                        source, folder.resolve("output"), ToyRun.recipe().with(new FixedScales(true, false)), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot fix scales of activations in format gptq: ");
        assertThatThrownBy(() -> ToyRun.plan(
                        source, folder.resolve("output"), ToyRun.recipe().with(new FixedScales(false, true)), 0))
                .isInstanceOf(QuernException.class)
                .hasMessageStartingWith("Cannot write scales of keys and values in format gptq: ");
    }

    private static float read(Checkpoint written, String name) {
        try {
            DType type = written.spec(name).dtype();
            assertThat(written.spec(name).shape()).containsExactly(1L);
            return HalfFloats.toFloats(written.read(name), type, 1)[0];
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** In full precision, by the name of the scale. */
    private static Map<String, Float> largest(Model model, Plan plan) throws IOException {
        Map<String, Float> largest = new TreeMap<>();
        try (Device device = Devices.open("java");
                Entry entry = Entry.load(model, device)) {
            int[] ids = ToyModel.tokens(plan.calibration().sequences(), 32, 1).stream()
                    .flatMapToInt(Arrays::stream)
                    .toArray();
            List<DeviceMatrix> hidden = new java.util.ArrayList<>(List.of(entry.forward(ids, 32)));
            for (int layer = 0; layer < model.layers(); layer++) {
                try (DecoderLayer decoder = DecoderLayer.load(model, layer, Weights.stored(model), device);
                        var run = decoder.start(hidden, 32, new Tap() {
                            @Override
                            public void input(Site site, DeviceMatrix x, @Nullable DeviceMatrix stream) {
                                for (Linear linear : site.linears()) {
                                    largest.put(
                                            linear.name() + ".input_scale",
                                            device.download(x).largest());
                                }
                            }

                            @Override
                            public void cached(int layer, DeviceMatrix keys, DeviceMatrix values) {
                                String attention = "model.layers." + layer + ".self_attn.";
                                largest.put(
                                        attention + "k_scale",
                                        device.download(keys).largest());
                                largest.put(
                                        attention + "v_scale",
                                        device.download(values).largest());
                            }
                        })) {
                    while (run.advance()) {}
                }
            }
        }
        return largest;
    }
}
