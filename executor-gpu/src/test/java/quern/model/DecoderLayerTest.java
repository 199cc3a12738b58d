package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import quern.QuernException;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.Devices;
import quern.tensor.DType;
import quern.tensor.Matrix;

class DecoderLayerTest {
    private static final int[] TOKENS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

    private static float[] forward(DecoderLayer layer, Device device, Matrix rows, int length) {
        try (DeviceMatrix x = device.upload(rows, DType.F32);
                DeviceMatrix y = layer.forward(x, length, null)) {
            return device.download(y).values();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void a_weight_that_is_not_finite_is_named(DType type) throws Exception {
        String spoiled = "model.layers.1.mlp.up_proj.weight";
        Model model = Model.open(Models.model(Models.TINY, Models.tinyShapes(), type, spoiled));
        try (Device device = Devices.open("java")) {
            DecoderLayer.load(model, 0, Weights.stored(model), device).close();
            assertThatThrownBy(() -> DecoderLayer.load(model, 1, Weights.stored(model), device))
                    .isInstanceOf(QuernException.class)
                    .hasMessageStartingWith(
                            "Cannot use tensor '" + spoiled + "': element [1, 1] is not a finite number (");
        }
    }

    @Test
    void sequences_of_a_batch_do_not_see_each_other() throws Exception {
        Model model = Model.open(Models.tiny());
        Matrix rows = Embedding.open(model).rows(TOKENS);
        try (Device device = Devices.open("java");
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device)) {
            float[] together = forward(layer, device, rows, 6);
            for (int s = 0; s < 2; s++) {
                Matrix alone = new Matrix(6, 16, java.util.Arrays.copyOfRange(rows.values(), s * 96, (s + 1) * 96));
                assertThat(java.util.Arrays.copyOfRange(together, s * 96, (s + 1) * 96))
                        .isEqualTo(forward(layer, device, alone, 6));
            }
        }
    }

    @Test
    void a_tap_sees_what_outputs_are_added_to() throws Exception {
        Model model = Model.open(Models.tiny());
        Matrix rows = Embedding.open(model).rows(TOKENS);
        Map<String, Matrix> streams = new HashMap<>();
        List<Matrix> outputs = new ArrayList<>(); // of the last linear
        try (Device device = Devices.open("java");
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
                DeviceMatrix x = device.upload(rows, DType.F32);
                DeviceMatrix y = layer.forward(x, 4, (site, in, stream) -> {
                    if (stream != null) {
                        streams.put(site.name(), device.download(stream));
                        outputs.add(applied(model, site.linears().get(0), device, in));
                    }
                })) {
            assertThat(streams).containsOnlyKeys("self_attn.o_proj", "mlp.down_proj");
            assertThat(streams.get("self_attn.o_proj").values()).isEqualTo(rows.values());
            float[] left = device.download(y).values();
            float[] before = streams.get("mlp.down_proj").values();
            for (int i = 0; i < left.length; i++) {
                assertThat(before[i] + outputs.get(1).values()[i]).isCloseTo(left[i], within(1e-6f));
            }
        }
    }

    private static Matrix applied(Model model, Linear linear, Device device, DeviceMatrix x) {
        try (DeviceMatrix stored = Weights.stored(model).weight(linear, device);
                DeviceMatrix weight = device.forward().prepare(stored);
                DeviceMatrix y = device.forward().linear(x, weight, null, DType.F32)) {
            return device.download(y);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void threads_share_a_layer() throws Exception {
        Model model = Model.open(Models.tiny());
        Matrix rows = Embedding.open(model).rows(TOKENS);
        try (Device device = Devices.open("java");
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device)) {
            float[] alone = forward(layer, device, rows, 4);
            List<float[]> results = IntStream.range(0, 32)
                    .parallel()
                    .mapToObj(i -> forward(layer, device, rows, 4))
                    .toList();
            assertThat(results).allSatisfy(r -> assertThat(r).isEqualTo(alone));
        }
    }

    @Test
    void all_but_the_result_is_given_back() throws Exception {
        Model model = Model.open(Models.tiny());
        Matrix rows = Embedding.open(model).rows(TOKENS);
        try (Device inner = Devices.open("java");
                CountingDevice device = new CountingDevice(inner)) {
            DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
            int weights = device.open();
            DeviceMatrix x = device.upload(rows, DType.F32);
            DeviceMatrix y = layer.forward(x, 4, null);
            // Cosines and sines of this length are kept.
            assertThat(device.open()).isEqualTo(weights + 2 + 2);
            assertThat(device.closedTwice()).isZero();
            // Beside them at most four values: q, k, v and what comes of them; the stream, gate, up and what comes of
            // them.
            assertThat(device.most()).isEqualTo(weights + 1 + 2 + 4);
            y.close();
            x.close();
            layer.close();
            assertThat(device.open()).isZero();
        }
    }

    @Test
    void what_a_failed_forward_held_is_given_back() throws Exception {
        Model model = Model.open(Models.tiny());
        Matrix rows = Embedding.open(model).rows(TOKENS);
        try (Device inner = Devices.open("java");
                CountingDevice device = new CountingDevice(inner);
                DecoderLayer layer = DecoderLayer.load(model, 0, Weights.stored(model), device);
                DeviceMatrix x = device.upload(rows, DType.F32)) {
            layer.forward(x, 4, null).close();
            int before = device.open();
            AtomicInteger seen = new AtomicInteger();
            assertThatThrownBy(() -> layer.forward(x, 4, (site, in, stream) -> {
                        if (seen.incrementAndGet() == 3) {
                            throw new IllegalStateException("stop");
                        }
                    }))
                    .hasMessage("stop");
            assertThat(device.open()).isEqualTo(before);
        }
    }

    @Test
    void a_failed_load_gives_back_what_it_had() throws Exception {
        Model model = Model.open(Models.tiny());
        List<String> asked = new ArrayList<>();
        try (Device inner = Devices.open("java");
                CountingDevice device = new CountingDevice(inner)) {
            Weights failing = (linear, on) -> {
                asked.add(linear.name());
                if (asked.size() == 4) {
                    throw new java.io.IOException("gone");
                }
                return Weights.stored(model).weight(linear, on);
            };
            assertThatThrownBy(() -> DecoderLayer.load(model, 0, failing, device))
                    .hasMessage("gone");
            assertThat(device.open()).isZero();
        }
    }
}
