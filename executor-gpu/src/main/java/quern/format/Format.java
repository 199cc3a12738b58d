package quern.format;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Bytes on disk. Stateless; the layout is known before any data exists. */
public interface Format {
    /** The name by which a recipe asks for it. */
    String name();

    /** The file of {@code conf/formats} that says who reads it, without its ending. */
    default String readers() {
        return name();
    }

    /** The type that scales are stored in, for a model whose weights are of type {@code weights}. */
    DType scaleType(DType weights);

    /** A recipe with what it leaves to the format. */
    default Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 4, 128, ScaleRule.SALIENCY);
    }

    /** What the codes of a recipe mean in this format; a {@link quern.QuernException} where it has no such codes. */
    default Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() == 1) {
            throw new QuernException("Cannot write format " + name()
                    + ": two values need a zero point between them, for which it has no place (use --format hqq)");
        }
        return new Scheme(
                recipe.bits(),
                recipe.groupSize(),
                recipe.symmetric(),
                recipe.ternary(),
                recipe.actOrder(),
                scaleType(weights));
    }

    /** The scheme of one linear; null where it stays as it is, since no scheme of this format fits it. */
    default @Nullable Scheme scheme(Recipe recipe, DType weights, LinearPlace linear) {
        return scheme(recipe, weights);
    }

    /** Whether weights stay what they are, in a type of its own, where a recipe gives none of them a width: it has no codes. */
    default boolean isPlain() {
        return false;
    }

    /** What its tensors are put in. */
    default Container container() {
        return Container.SAFETENSORS;
    }

    /**
     * Why this scheme or shape cannot be stored, as the reason of a <em>Cannot ...</em> sentence; null if it can. Groups divide
     * the inputs: the planner sees to that.
     */
    @Nullable
    String refuses(Scheme scheme, int outputs, int inputs);

    /**
     * Whether its loaders also replace modules that hold their weight inputs x outputs (Conv1D). It is stored as that of a linear
     * then.
     */
    default boolean replacesConv1d() {
        return false;
    }

    /**
     * Whether it is one for experts whose weights are slices of one tensor: they are stored as slices of others, and all else stays as
     * it is.
     */
    default boolean stacks() {
        return false;
    }

    /** Whether linears whose weights are slices of one tensor are quantized, too. */
    default boolean takesSlices() {
        return stacks();
    }

    /**
     * The tensor in which those of all experts stand one after the other.
     *
     * @param first that of the first expert
     */
    default TensorSpec stacked(TensorSpec first, int experts) {
        throw new UnsupportedOperationException(name());
    }

    /** Whether a file can be written straight from the source where no text is needed: each tensor is one of a single linear. */
    default boolean casts() {
        return container() == Container.SAFETENSORS && !stacks();
    }

    /** Whether some linears may have a scheme other than the rest, such as more bits. */
    default boolean mixes() {
        return false;
    }

    /** Whether zero points may be any numbers; else they are whole and of a code's bits. */
    default boolean holdsFractionalZeros() {
        return false;
    }

    /** The smallest zero point that it stores, where they are whole. */
    default int lowestZero() {
        return 0;
    }

    /** Whether its loaders quantize the inputs of linears, too, when the model runs. */
    default boolean quantizesActivations() {
        return false;
    }

    /** Whether scales come back as they were; else they are rounded once more when they are packed. */
    default boolean keepsScales() {
        return true;
    }

    /** The tensors that stand for one linear, in the order of {@link #pack}. */
    List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme);

    /** The bytes of those tensors, little-endian, one buffer per entry of the layout. */
    List<ByteBuffer> pack(QuantizedLinear quantized);

    /** How many rows a panel has: a multiple of it, but for the last of a linear. */
    int PANEL = 32;

    /**
     * How the tensors of a linear are made of those of panels of its rows, one for each of the layout: then a panel at a time is
     * quantized, packed and written. None where a linear is packed only as a whole.
     */
    default List<Joint> joints(Scheme scheme) {
        return List.of();
    }

    /**
     * The bytes for a panel of a linear's rows.
     *
     * @param outputs of the whole linear, which some of its tensors tell
     */
    default List<ByteBuffer> pack(QuantizedLinear panel, int outputs) {
        return pack(panel);
    }

    /**
     * How the scale of a linear's inputs is stored where calibration fixes it; null if the loaders of this format take none.
     *
     * @param weights the type of the model's weights
     */
    default @Nullable FixedScale inputScale(DType weights) {
        return null;
    }

    /**
     * How the scales of keys and values of 8-bit floats are stored, below the module that holds them; empty if the loaders of this
     * format read none.
     *
     * @param weights the type of the model's weights
     */
    default List<FixedScale> cacheScales(DType weights) {
        return List.of();
    }

    /** The last part of the name of the tensor that holds the codes, by which a quantized linear is known. */
    String codes();

    /** The outputs and inputs of a linear that is stored so. */
    record Shape(int outputs, int inputs) {}

    /** The shape of a stored linear; a {@link quern.QuernException} where its tensors contradict each other. */
    Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException;

    /** Reads a linear back. */
    QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException;

    /**
     * The {@code quantization_config} block of {@code config.json}.
     *
     * @param schemes all the same where the format does not {@linkplain #mixes mix}
     * @param quantized full names of the linears that are quantized
     * @param kept full names of linears that are not; {@code name.*} for all that is in a module of this name, such as an image
     *     encoder, which a loader may have in a module of its own
     */
    Map<String, Object> quantizationConfig(Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept);

    /**
     * A linear that is quantized.
     *
     * @param name its full name
     */
    record LinearSpec(String name, int outputs, int inputs, Scheme scheme) {}

    /**
     * What stands in the header of every file of the checkpoint, beside the tensors.
     *
     * @param linears all that are quantized
     * @param others names of all other tensors
     * @param weights the type of the model's weights
     */
    default Map<String, String> metadata(List<LinearSpec> linears, List<String> others, DType weights) {
        return Map.of();
    }

    /**
     * Further files that loaders of this format look for: name to content.
     *
     * @param quantized full names of the linears that are quantized
     */
    default Map<String, Object> sideFiles(Map<String, Object> quantizationConfig, List<String> quantized) {
        return Map.of();
    }

    /** The schemes of a checkpoint with this {@code quantization_config}, or null if the block is not this format's. */
    @Nullable
    Schemes schemes(Map<String, Object> quantizationConfig, DType weights);
}
