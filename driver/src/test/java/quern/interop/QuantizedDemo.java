package quern.interop;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import quern.app.Application;
import quern.cli.Main;
import quern.demo.Demo;
import quern.format.Format;
import quern.format.Formats;
import quern.model.Model;
import quern.scheme.Scheme;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/** The demo model quantized by the command itself, and the dense float32 model that our own readers take it for. */
final class QuantizedDemo {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final TypeReference<LinkedHashMap<String, Object>> OBJECT = new TypeReference<>() {};

    private QuantizedDemo() {}

    /** {@code quern quantize demo --out checkpoint}, with these options and few samples: weights are not judged here. */
    static void write(Application application, Path checkpoint, List<String> options) throws IOException {
        new LocalStore(checkpoint).delete(""); // of an earlier build
        List<String> arguments = new ArrayList<>(List.of("quantize", "demo", "--samples", "16"));
        arguments.addAll(List.of("--out", checkpoint.toString()));
        arguments.addAll(options);
        StringWriter said = new StringWriter();
        PrintWriter words = new PrintWriter(said, true);
        if (Main.run(arguments.toArray(String[]::new), () -> application, words, words) != 0) {
            throw new IOException(arguments + ": " + said);
        }
    }

    /** Every tensor of the demo model in float32, of quantized linears what is stored for them, unpacked. */
    static void dense(Path checkpoint, Path dense) throws IOException {
        Files.createDirectories(dense);
        Model model = Model.openToEvaluate(new LocalStore(checkpoint));
        Map<String, Object> quantization = Objects.requireNonNull(model.config().quantization());
        Format format = Formats.of(quantization, model.weightType());
        Scheme scheme = Objects.requireNonNull(format.scheme(quantization, model.weightType()));
        Checkpoint source = Checkpoint.open(new LocalStore(Demo.unpackTo(checkpoint.resolveSibling("demo"))));
        Map<TensorSpec, ByteBuffer> tensors = new LinkedHashMap<>();
        for (String name : source.names()) {
            TensorSpec spec = source.spec(name);
            float[] values = model.tensors().names().contains(name)
                    ? HalfFloats.toFloats(model.tensors().read(name), spec.dtype(), Math.toIntExact(spec.elements()))
                    : format.unpack(name.replaceFirst("\\.weight$", ""), model.tensors(), scheme)
                            .dequantize()
                            .values();
            tensors.put(new TensorSpec(name, DType.F32, spec.shape()), HalfFloats.fromFloats(values, DType.F32));
        }
        new LocalStore(dense)
                .write(
                        "model.safetensors",
                        out -> SafetensorsWriter.writeBuffers(
                                out, List.copyOf(tensors.keySet()), Map.of(), tensors::get));
        Map<String, Object> config =
                JSON.readValue(checkpoint.resolve("config.json").toFile(), OBJECT);
        config.remove("quantization_config");
        config.put("dtype", "float32");
        JSON.writeValue(dense.resolve("config.json").toFile(), config);
    }
}
