package quern.interop;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/** A gpt-oss model with its experts in MXFP4, as its makers publish it; {@code quern.source} has the layout. */
final class Mxfp4Copy {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int GROUP = 32;
    private static final float[] MAGNITUDES = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

    private Mxfp4Copy() {}

    static void write(Path source, Path to) throws IOException {
        Files.createDirectories(to);
        Checkpoint tensors = Checkpoint.open(new LocalStore(source));
        Map<TensorSpec, ByteBuffer> written = new LinkedHashMap<>();
        for (String name : tensors.names()) {
            TensorSpec spec = tensors.spec(name);
            if (name.matches(".*experts\\.(gate_up|down)_proj")) {
                pack(spec, HalfFloats.toFloats(tensors.read(name), spec.dtype(), (int) spec.elements()), written);
            } else {
                written.put(spec, tensors.read(name));
            }
        }
        new LocalStore(to)
                .write(
                        "model.safetensors",
                        out -> SafetensorsWriter.writeBuffers(
                                out, List.copyOf(written.keySet()), Map.of(), written::get));
        Map<String, Object> config = JSON.readValue(
                source.resolve("config.json").toFile(), new TypeReference<LinkedHashMap<String, Object>>() {});
        config.put(
                "quantization_config",
                Map.of(
                        "quant_method",
                        "mxfp4",
                        "modules_to_not_convert",
                        List.of(
                                "model.layers.*.self_attn",
                                "model.layers.*.mlp.router",
                                "model.embed_tokens",
                                "lm_head")));
        JSON.writeValue(to.resolve("config.json").toFile(), config);
    }

    /** @param weight [experts, inputs, outputs] */
    private static void pack(TensorSpec spec, float[] weight, Map<TensorSpec, ByteBuffer> written) {
        int experts = Math.toIntExact(spec.shape().get(0));
        int inputs = Math.toIntExact(spec.shape().get(1));
        int outputs = Math.toIntExact(spec.shape().get(2));
        int groups = inputs / GROUP;
        ByteBuffer blocks = ByteBuffer.allocate(experts * outputs * inputs / 2);
        ByteBuffer scales = ByteBuffer.allocate(experts * outputs * groups);
        float[] group = new float[GROUP];
        for (int e = 0; e < experts; e++) {
            for (int n = 0; n < outputs; n++) {
                for (int g = 0; g < groups; g++) {
                    float largest = 0;
                    for (int i = 0; i < GROUP; i++) {
                        group[i] = weight[(e * inputs + g * GROUP + i) * outputs + n];
                        largest = Math.max(largest, Math.abs(group[i]));
                    }
                    int exponent = Math.getExponent(largest) - 2; // the largest code is 6: between 2^2 and 2^3
                    scales.put((byte) (exponent + 127));
                    for (int i = 0; i < GROUP; i += 2) {
                        blocks.put((byte) (code(group[i], exponent) | code(group[i + 1], exponent) << 4));
                    }
                }
            }
        }
        written.put(
                TensorSpec.of(spec.name() + "_blocks", DType.U8, experts, outputs, groups, GROUP / 2), blocks.flip());
        written.put(TensorSpec.of(spec.name() + "_scales", DType.U8, experts, outputs, groups), scales.flip());
    }

    private static int code(float value, int exponent) {
        float scaled = Math.abs(Math.scalb(value, -exponent));
        int nearest = 0;
        for (int i = 1; i < MAGNITUDES.length; i++) {
            if (Math.abs(scaled - MAGNITUDES[i]) < Math.abs(scaled - MAGNITUDES[nearest])) {
                nearest = i;
            }
        }
        return value < 0 ? nearest | 8 : nearest;
    }
}
