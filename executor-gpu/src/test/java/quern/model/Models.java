package quern.model;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import quern.store.Checkpoint;
import quern.store.MemoryStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/** Models for tests: small random ones made here, and folders of real ones. */
public final class Models {
    static final String TINY = "{\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 24,"
            + " \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 32,"
            + " \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"tie_word_embeddings\": false}";

    private Models() {}

    /** The shapes of {@link #TINY}. */
    static Map<String, long[]> tinyShapes() {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("model.embed_tokens.weight", new long[] {32, 16});
        for (int l = 0; l < 2; l++) {
            String layer = "model.layers." + l + ".";
            shapes.put(layer + "input_layernorm.weight", new long[] {16});
            shapes.put(layer + "self_attn.q_proj.weight", new long[] {16, 16});
            shapes.put(layer + "self_attn.k_proj.weight", new long[] {8, 16});
            shapes.put(layer + "self_attn.v_proj.weight", new long[] {8, 16});
            shapes.put(layer + "self_attn.o_proj.weight", new long[] {16, 16});
            shapes.put(layer + "post_attention_layernorm.weight", new long[] {16});
            shapes.put(layer + "mlp.gate_proj.weight", new long[] {24, 16});
            shapes.put(layer + "mlp.up_proj.weight", new long[] {24, 16});
            shapes.put(layer + "mlp.down_proj.weight", new long[] {16, 24});
        }
        shapes.put("model.norm.weight", new long[] {16});
        shapes.put("lm_head.weight", new long[] {32, 16});
        return shapes;
    }

    /** A random model; element {@code spoiled} of the tensor of that name is NaN. */
    static MemoryStore model(String config, Map<String, long[]> shapes, DType type, String spoiled) {
        Random random = new Random(7);
        List<TensorSpec> specs = shapes.entrySet().stream()
                .map(e -> TensorSpec.of(e.getKey(), type, e.getValue()))
                .toList();
        try {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            SafetensorsWriter.writeBuffers(out, specs, Map.of(), spec -> {
                float[] values = new float[(int) spec.elements()];
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) random.nextGaussian() * 0.3f;
                }
                if (spec.name().equals(spoiled)) {
                    values[17] = Float.NaN;
                }
                return HalfFloats.fromFloats(values, type);
            });
            return new MemoryStore()
                    .put("config.json", config.getBytes(StandardCharsets.UTF_8))
                    .put("model.safetensors", out.toByteArray());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The model with what its tensors' names begin with exchanged. */
    static MemoryStore renamed(MemoryStore model, String from, String to) throws IOException {
        Checkpoint tensors = Checkpoint.open(model);
        List<TensorSpec> specs = new ArrayList<>();
        Map<String, String> names = new HashMap<>();
        for (String name : tensors.names()) {
            String other = name.startsWith(from) ? to + name.substring(from.length()) : name;
            names.put(other, name);
            TensorSpec spec = tensors.spec(name);
            long[] shape = spec.shape().stream().mapToLong(Long::longValue).toArray();
            specs.add(TensorSpec.of(other, spec.dtype(), shape));
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        SafetensorsWriter.write(
                out,
                specs,
                Map.of(),
                (spec, bytes) -> SafetensorsWriter.copy(tensors.read(names.get(spec.name())), bytes));
        return model.put("model.safetensors", out.toByteArray());
    }

    /** A small random llama. */
    public static MemoryStore tiny() {
        return model(TINY, tinyShapes(), DType.F32, "");
    }

    /** A folder below {@code quern.shared}; the test is skipped where it is not. */
    static Path shared(String path) {
        Path folder = Path.of(System.getProperty("quern.shared", "../../shared"), path);
        assumeTrue(Files.isDirectory(folder), () -> "there is no " + folder + " (set -Dquern.shared)");
        return folder;
    }

    /** The files of a folder, held in memory, so that one can stand in for another. */
    static MemoryStore copy(Path folder) {
        MemoryStore store = new MemoryStore();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                store.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return store;
    }
}
