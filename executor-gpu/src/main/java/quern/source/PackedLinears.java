package quern.source;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Formats;
import quern.scheme.QuantizedLinear;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The linears of a quantized model as codes and scales, where its way of storing them is a format of ours.
 *
 * @param names full names of those that are quantized
 */
public record PackedLinears(Format format, Schemes schemes, List<String> names, TensorSource stored) {
    private static final List<DType> FLOATS = List.of(DType.F16, DType.BF16, DType.F32);

    public PackedLinears {
        names = List.copyOf(names);
    }

    /**
     * Reads headers only.
     *
     * @param quantization the model's {@code quantization_config}
     * @throws QuernException where there are no codes to be had
     */
    public static PackedLinears of(Source source, @Nullable Map<String, Object> quantization) {
        if (source.stored() instanceof GgufTensors gguf) {
            return gguf.linears();
        }
        String location = source.store().location();
        if (quantization == null) {
            throw new QuernException(
                    source.lossy() == null
                            ? "Cannot convert %s: it is not quantized (quern quantize would do)".formatted(location)
                            : "Cannot convert %s: its weights are read as numbers, not as codes, %s (quern quantize would do, from the original model if you have it)"
                                    .formatted(location, source.lossy()));
        }
        for (Format format : Formats.all()) {
            Schemes schemes = format.stacks() ? null : format.schemes(quantization, DType.F16);
            if (schemes != null) {
                String ending = "." + format.codes();
                List<String> names = source.stored().names().stream()
                        .filter(name -> name.endsWith(ending))
                        .map(name -> name.substring(0, name.length() - ending.length()))
                        .toList();
                return new PackedLinears(format, schemes, names, source.stored());
            }
        }
        throw new QuernException(
                "Cannot convert %s: codes of %s are not read, only the weights that they stand for (quern quantize would do)"
                        .formatted(location, source.lossy()));
    }

    /** What the codes of a linear mean, with scales of the type that they are stored in. */
    public Scheme scheme(String linear, int outputs, int inputs) {
        Scheme declared = schemes.of(linear);
        if (!FLOATS.contains(declared.scaleType())) {
            return declared;
        }
        long scales = (long) outputs * declared.groups(inputs);
        return format.layout(linear, outputs, inputs, declared).stream()
                .map(TensorSpec::name)
                .filter(stored.names()::contains)
                .map(stored::spec)
                .filter(spec -> FLOATS.contains(spec.dtype()) && spec.elements() == scales)
                .findFirst()
                .map(spec -> declared.with(spec.dtype()))
                .orElse(declared);
    }

    public QuantizedLinear read(String linear) throws IOException {
        return format.unpack(linear, stored, schemes.of(linear));
    }
}
