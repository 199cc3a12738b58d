package quern.format.torchao;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import quern.format.Format;
import quern.format.Settings;
import quern.scheme.Scheme;
import quern.tensor.DType;

/** What the library writes about its tensors: in the header of each file, and in the config. */
final class TorchAo {
    private static final ObjectMapper JSON = new ObjectMapper();

    private TorchAo() {}

    /** Of one of its classes, as it writes them. */
    static Map<String, Object> object(String type, Object data) {
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("_type", type);
        object.put("_data", data);
        return object;
    }

    static Map<String, Object> type(String name) {
        return object("torch.dtype", name);
    }

    static Map<String, Object> type(DType type) {
        return type(
                switch (type) {
                    case BF16 -> "bfloat16";
                    case F16 -> "float16";
                    default -> "float32";
                });
    }

    /** A class of its configuration, whose form has a number. */
    static Map<String, Object> versioned(String type, int version, Object data) {
        Map<String, Object> object = new LinkedHashMap<>();
        object.put("_type", type);
        object.put("_version", version);
        object.put("_data", data);
        return object;
    }

    /** What a header has beside the tensors: for each weight what it is, and the names of all. */
    static Map<String, String> metadata(
            List<Format.LinearSpec> linears, List<String> others, Function<Format.LinearSpec, Object> weight) {
        Map<String, String> metadata = new LinkedHashMap<>();
        List<String> names = new ArrayList<>();
        for (Format.LinearSpec linear : linears) {
            names.add(linear.name() + ".weight");
            metadata.put(linear.name() + ".weight", json(weight.apply(linear)));
        }
        for (String other : others) {
            names.add(other);
            metadata.put(other, json(Map.of("_type", "Tensor")));
        }
        metadata.put("tensor_names", json(names));
        return metadata;
    }

    private static String json(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The library's description of a weight. */
    static Map<String, Object> weight(String type, Map<String, Object> data, List<String> tensors) {
        Map<String, Object> weight = object(type, data);
        weight.put("_tensor_data_names", tensors);
        return weight;
    }

    static List<Integer> block(Format.LinearSpec linear) {
        Scheme scheme = linear.scheme();
        return List.of(1, scheme.groupLength(linear.inputs()));
    }

    static Map<String, Object> config(Map<String, Object> quantType) {
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "torchao");
        block.put("quant_type", Map.of("default", quantType));
        block.put("modules_to_not_convert", null);
        block.put("include_input_output_embeddings", false);
        block.put("untie_embedding_weights", false);
        return block;
    }

    /** The data of this class of configuration; null where the block is of another. */
    static @Nullable Settings config(Map<String, Object> quantizationConfig, String type) {
        Settings block = new Settings(quantizationConfig);
        if (!"torchao".equals(block.text("quant_method"))) {
            return null;
        }
        Settings chosen = block.part("quant_type").part("default");
        return type.equals(chosen.text("_type")) ? chosen.part("_data") : null;
    }
}
