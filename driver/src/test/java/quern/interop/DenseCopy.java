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
import quern.model.Model;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** The float32 model that our own readers take a quantized checkpoint for. */
final class DenseCopy {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final TypeReference<LinkedHashMap<String, Object>> OBJECT = new TypeReference<>() {};

    private DenseCopy() {}

    static void write(Path checkpoint, Path dense) throws IOException {
        Files.createDirectories(dense);
        TensorSource tensors = Model.open(new LocalStore(checkpoint)).tensors();
        Map<TensorSpec, ByteBuffer> copies = new LinkedHashMap<>();
        for (String name : tensors.names()) {
            TensorSpec spec = tensors.spec(name);
            float[] values = HalfFloats.toFloats(tensors.read(name), spec.dtype(), Math.toIntExact(spec.elements()));
            copies.put(new TensorSpec(name, DType.F32, spec.shape()), HalfFloats.fromFloats(values, DType.F32));
        }
        new LocalStore(dense)
                .write(
                        "model.safetensors",
                        out -> SafetensorsWriter.writeBuffers(
                                out, List.copyOf(copies.keySet()), Map.of(), copies::get));
        Map<String, Object> config =
                JSON.readValue(checkpoint.resolve("config.json").toFile(), OBJECT);
        config.remove("quantization_config");
        config.put("dtype", "float32");
        JSON.writeValue(dense.resolve("config.json").toFile(), config);
    }
}
