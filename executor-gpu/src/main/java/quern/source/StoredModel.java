package quern.source;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Settings;
import quern.tensor.TensorSource;

/**
 * A quantized model as it stands in its files.
 *
 * @param location for messages
 * @param quantization its {@code quantization_config}
 * @param transposed whether the family's linears stand inputs x outputs in its unquantized models
 */
record StoredModel(String location, TensorSource tensors, Settings quantization, boolean transposed) {
    /** The modules that have a tensor of this name, in the order of the files: {@code model.layers.0.mlp.up_proj}. */
    List<String> modulesWith(String tensor) {
        String ending = "." + tensor;
        return tensors.names().stream()
                .filter(name -> name.endsWith(ending))
                .map(name -> name.substring(0, name.length() - ending.length()))
                .toList();
    }

    boolean has(String tensor) {
        return tensors.names().contains(tensor);
    }

    /** All tensors of a linear but its bias: what stands for its weight, and what only its quantized form has a use for. */
    List<String> partsOf(String linear) {
        String beginning = linear + ".";
        return tensors.names().stream()
                .filter(name -> name.startsWith(beginning)
                        && (name.indexOf('.', beginning.length()) < 0 || name.startsWith(beginning + "weight."))
                        && !name.endsWith(".bias"))
                .toList();
    }

    /** A value out of somebody's file, for a message. */
    static String shown(@Nullable Object value) {
        String text = String.valueOf(value);
        return text.length() > 40 ? text.substring(0, 40) + "..." : text;
    }

    QuernException unreadable(String reason, String remedy) {
        return new QuernException("Cannot read the weights of " + location + ": " + reason + " (" + remedy + ")");
    }
}
