package quern.interop;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import quern.format.Format;
import quern.format.Formats;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.store.Checkpoint;
import quern.store.LocalStore;
import quern.store.SafetensorsWriter;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSpec;

/**
 * The demo model rounded to nearest here, packed by our formats, beside the dense float32 model that the codes stand for.
 * Only formats are under test: every scheme is reached without a method that could produce it.
 */
final class PackedDemo {
    static final Path MODEL = Path.of("src", "main", "resources", "quern", "demo", "quern-stories-4m");
    private static final List<String> COMPANIONS =
            List.of("generation_config.json", "tokenizer.json", "tokenizer_config.json");
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final TypeReference<LinkedHashMap<String, Object>> OBJECT = new TypeReference<>() {};

    private final Recipe recipe;
    private final Format format;
    private final Scheme scheme;
    private final Random random = new Random(7);
    private final Map<TensorSpec, ByteBuffer> packed = new LinkedHashMap<>();
    private final Map<TensorSpec, ByteBuffer> dense = new LinkedHashMap<>();
    private final List<String> quantized = new ArrayList<>();
    private final List<String> kept = new ArrayList<>();

    private PackedDemo(Recipe recipe) {
        this.recipe = recipe;
        this.format = Formats.named(recipe.format());
        this.scheme = new Scheme(
                recipe.bits(),
                recipe.groupSize(),
                recipe.symmetric(),
                recipe.ternary(),
                recipe.actOrder(),
                format.scaleType(DType.BF16));
    }

    /** Writes a checkpoint and a dense one. */
    static void write(Recipe recipe, Path checkpoint, Path dense) throws IOException {
        PackedDemo demo = new PackedDemo(recipe);
        demo.pack();
        Map<String, Object> config = JSON.readValue(MODEL.resolve("config.json").toFile(), OBJECT);
        config.put("dtype", "float32");
        store(dense, demo.dense, config);
        Map<String, Object> block =
                demo.format.quantizationConfig(recipe, Schemes.all(demo.scheme), demo.quantized, demo.kept);
        config.put("dtype", "bfloat16");
        config.put("quantization_config", block);
        store(checkpoint, demo.packed, config);
        for (Map.Entry<String, Object> file :
                demo.format.sideFiles(block, List.of()).entrySet()) {
            JSON.writeValue(checkpoint.resolve(file.getKey()).toFile(), file.getValue());
        }
    }

    private void pack() throws IOException {
        Checkpoint source = Checkpoint.open(new LocalStore(MODEL));
        for (String name : source.names()) {
            TensorSpec spec = source.spec(name);
            float[] values = HalfFloats.toFloats(source.read(name), spec.dtype(), Math.toIntExact(spec.elements()));
            String linear = name.replaceFirst("\\.weight$", "");
            boolean isLinear = linear.endsWith("_proj");
            if (isLinear && recipe.skip().stream().noneMatch(linear::matches)) {
                QuantizedLinear codes = rounded(
                        values,
                        spec.shape().get(0).intValue(),
                        spec.shape().get(1).intValue());
                quantized.add(linear);
                List<TensorSpec> layout = format.layout(linear, codes.outputs(), codes.inputs(), scheme);
                List<ByteBuffer> bytes = format.pack(codes);
                for (int i = 0; i < layout.size(); i++) {
                    packed.put(layout.get(i), bytes.get(i));
                }
                values = codes.dequantize().values();
            } else {
                packed.put(spec, source.read(name));
                if (isLinear) {
                    kept.add(linear);
                }
            }
            dense.put(new TensorSpec(name, DType.F32, spec.shape()), HalfFloats.fromFloats(values, DType.F32));
        }
    }

    /** Round-to-nearest; with full act-order, groups are formed over columns in a random order. */
    private QuantizedLinear rounded(float[] weight, int outputs, int inputs) {
        int groups = scheme.groups(inputs);
        int[] groupOfColumn = new int[inputs];
        for (int i = 0; i < inputs; i++) {
            groupOfColumn[i] = i / scheme.groupLength(inputs);
        }
        for (int i = inputs - 1; i > 0 && scheme.order() == ColumnOrder.FULL; i--) {
            int j = random.nextInt(i + 1);
            int swapped = groupOfColumn[i];
            groupOfColumn[i] = groupOfColumn[j];
            groupOfColumn[j] = swapped;
        }
        float[] low = new float[outputs * groups];
        float[] high = new float[outputs * groups];
        for (int o = 0; o < outputs; o++) {
            for (int i = 0; i < inputs; i++) {
                int g = o * groups + groupOfColumn[i];
                low[g] = Math.min(low[g], weight[o * inputs + i]);
                high[g] = Math.max(high[g], weight[o * inputs + i]);
            }
        }
        float[] scales = new float[outputs * groups];
        float[] zeros = new float[outputs * groups];
        for (int g = 0; g < scales.length; g++) {
            float range = scheme.symmetric() ? 2 * Math.max(-low[g], high[g]) : high[g] - low[g];
            scales[g] = HalfFloats.round(Math.max(range / scheme.highestCode(), 1e-5f), scheme.scaleType());
            int zero = scheme.symmetric() ? scheme.middle() : (int) Math.rint(-low[g] / scales[g]);
            zeros[g] =
                    Math.max(scheme.grid().lowestZero(), Math.min(scheme.grid().highestZero(), zero));
        }
        byte[] codes = new byte[outputs * inputs];
        for (int at = 0; at < codes.length; at++) {
            int g = at / inputs * groups + groupOfColumn[at % inputs];
            int code = (int) Math.rint(weight[at] / scales[g]) + (int) zeros[g];
            codes[at] = (byte) Math.max(scheme.lowestCode(), Math.min(scheme.highestCode(), code));
        }
        return new QuantizedLinear(scheme, outputs, inputs, codes, scales, zeros, groupOfColumn);
    }

    private static void store(Path folder, Map<TensorSpec, ByteBuffer> tensors, Map<String, Object> config)
            throws IOException {
        new LocalStore(folder)
                .write(
                        "model.safetensors",
                        out -> SafetensorsWriter.writeBuffers(
                                out, List.copyOf(tensors.keySet()), Map.of(), tensors::get));
        JSON.writeValue(folder.resolve("config.json").toFile(), config);
        for (String name : COMPANIONS) {
            Files.copy(MODEL.resolve(name), folder.resolve(name), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        }
    }
}
