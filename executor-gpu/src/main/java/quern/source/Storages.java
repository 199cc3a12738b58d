package quern.source;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import quern.QuernException;

/** The ways of storing weights in few bits that are read. */
final class Storages {
    static final List<Storage> ALL = List.of(new ScaledBytesStorage(), new Mxfp4Storage(), new FormatStorage());

    /** What is in names of tensors of tools that leave the config as it was. */
    private static final Map<String, String> UNDECLARED = Map.of(".W_q", "HQQ", ".weight._data", "Quanto");

    /** Scales of keys and values. */
    private static final String CACHE_SCALES = ".*\\.([kv]_scale|[kv]_proj\\.output_scale)";

    private Storages() {}

    /** {@link quern.QuernException} where the model's way is not known. */
    static Packed read(StoredModel model) throws IOException {
        for (Storage storage : ALL) {
            Packed packed = storage.read(model);
            if (packed != null && packed.tensors().isEmpty()) {
                throw model.unreadable(
                        "its config.json says that it is quantized, " + packed.description()
                                + ", and no tensor of it is",
                        "take quantization_config out of config.json, or download the model again");
            }
            if (packed != null) {
                return packed.without(model.tensors().names().stream()
                        .filter(name -> name.matches(CACHE_SCALES))
                        .toList());
            }
        }
        Object method = model.quantization().values().get("quant_method");
        Object format = model.quantization().values().get("format");
        throw unread(
                model.location(),
                "they are quantized by " + StoredModel.shown(method)
                        + (format == null ? "" : " in format " + StoredModel.shown(format)));
    }

    /** Some tools say nowhere that they quantized, but leave tensors that nobody else has. */
    static void refuseUndeclared(String location, Set<String> names) {
        UNDECLARED.forEach((part, tool) -> names.stream()
                .filter(name -> name.contains(part))
                .findFirst()
                .ifPresent(name -> {
                    throw unread(location, "they are quantized by " + tool + ", as the tensor " + name + " says");
                }));
    }

    private static QuernException unread(String location, String reason) {
        return new QuernException(
                "Cannot read the weights of " + location + ": " + reason
                        + " (use the original model, or one in gptq, awq, autoround, compressed-tensors, fp8, bitsandbytes, torchao, quanto of 8 bits, mxfp4 or GGUF)");
    }
}
