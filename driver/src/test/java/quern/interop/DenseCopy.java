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
import quern.source.Source;
import quern.store.BlobStore;
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
        BlobStore files = Source.files(new LocalStore(checkpoint));
        TensorSource tensors = Model.open(files).tensors();
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
        Map<String, Object> config = JSON.readValue(json(files), OBJECT);
        config.remove("quantization_config");
        config.put("dtype", "float32");
        JSON.writeValue(dense.resolve("config.json").toFile(), config);
    }

    /** Of a GGUF file what its metadata say. */
    private static byte[] json(BlobStore files) throws IOException {
        ByteBuffer bytes = files.read("config.json", 0, Math.toIntExact(files.length("config.json")));
        byte[] json = new byte[bytes.remaining()];
        bytes.get(json);
        return json;
    }
}
