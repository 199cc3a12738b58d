package quern.format.gguf;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Container;
import quern.format.Format;
import quern.format.LinearPlace;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** The mixtures of ggml's types; the package's description is their specification. A linear by itself is one tensor of blocks. */
public final class GgufFormat implements Format {
    private static final String CODES = "weight";

    private final Mixture mixture;

    private GgufFormat(Mixture mixture) {
        this.mixture = mixture;
    }

    /** All of them. */
    public static List<Format> all() {
        return Arrays.stream(Mixture.values())
                .map(mixture -> (Format) new GgufFormat(mixture))
                .toList();
    }

    @Override
    public String name() {
        return "gguf-" + mixture.option();
    }

    @Override
    public String readers() {
        return "gguf";
    }

    /** Its {@code general.file_type}. */
    public int fileType() {
        return mixture.number();
    }

    /** The name of the file. */
    public String file() {
        return "model-" + mixture + ".gguf";
    }

    /**
     * The type of the embedding or of the head.
     *
     * @param isHead whether it is the head, be it as the embedding, too
     */
    public GgufType outside(boolean isHead, int inputs) {
        return isHead ? mixture.head(inputs) : mixture.embedding(inputs);
    }

    /** The type of a matrix that is no linear of codes, in a file for a model whose own type is {@code type}. */
    GgufType kept(DType type) {
        if (isPlain()) {
            return mixture.base();
        }
        return switch (type) {
            case BF16 -> GgufType.BF16;
            case F16 -> GgufType.F16;
            default -> GgufType.F32;
        };
    }

    @Override
    public Container container() {
        return Container.GGUF;
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F16;
    }

    @Override
    public boolean isPlain() {
        return mixture.isPlain();
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse(isPlain() ? "rtn" : "gptq", Recipe.UNSAID, Recipe.UNSAID, ScaleRule.SALIENCY);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != Recipe.UNSAID) {
            throw refused("its widths are those of its types (leave --bits away)");
        }
        if (isPlain()) {
            throw refused("it has no codes (use gguf-q8_0, or another of its mixtures)");
        }
        return scheme(recipe, mixture.base());
    }

    @Override
    public @Nullable Scheme scheme(Recipe recipe, DType weights, LinearPlace linear) {
        GgufFamily family = GgufFamily.written(linear.modelType());
        List<String> there = family.there(linear.name() + ".weight");
        if (there.isEmpty()) {
            throw refused(
                    linear.name() + " has no name in files of " + family.architecture() + " (use another format)");
        }
        GgufType type = recipe.bits() == Recipe.UNSAID
                ? mixture.of(new Mixture.Place(
                        GgufFamily.role(there.get(0)),
                        linear.inputs(),
                        linear.layer(),
                        linear.layers(),
                        linear.grouped(),
                        linear.experts(),
                        linear.calibrated()))
                : Mixture.fitting(ofBits(recipe.bits()), linear.inputs());
        return type.scheme() == null ? null : scheme(recipe, type);
    }

    /** What a recipe means that gives some linears another width. */
    private static GgufType ofBits(int bits) {
        return switch (bits) {
            case 2 -> GgufType.Q2_K;
            case 3 -> GgufType.Q3_K;
            case 4 -> GgufType.Q4_K;
            default -> GgufType.Q8_0;
        };
    }

    private Scheme scheme(Recipe recipe, GgufType type) {
        if (recipe.groupSize() != Recipe.UNSAID
                || !recipe.symmetric()
                || recipe.ternary()
                || recipe.actOrder() == ColumnOrder.FULL
                || recipe.actOrder() == ColumnOrder.GROUP) {
            throw refused("groups, and where they have a minimum, are those of its types"
                    + " (leave --group-size, --asym and --trits away, and use --act-order static or off)");
        }
        return Objects.requireNonNull(type.scheme()).with(recipe.actOrder());
    }

    private QuernException refused(String reason) {
        return new QuernException("Cannot write format " + name() + ": " + reason);
    }

    @Override
    public boolean takesSlices() {
        return true;
    }

    @Override
    public boolean mixes() {
        return true;
    }

    @Override
    public boolean holdsFractionalZeros() {
        return false; // those of a scheme with minima only
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        GgufType type = GgufType.of(scheme);
        return type.fits(inputs) ? null : "its " + inputs + " inputs are no whole blocks of " + type;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        long row = GgufType.of(scheme).bytes(inputs);
        return List.of(TensorSpec.of(linear + "." + CODES, DType.U8, outputs, row));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear quantized) {
        return List.of(new BlockPacking(quantized.scheme()).pack(quantized));
    }

    @Override
    public String codes() {
        return CODES;
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        int[] stored = new StoredLinear(tensors, linear).shape("." + CODES);
        GgufType type = GgufType.of(scheme);
        int block = type.block();
        return new Shape(stored[0], Math.toIntExact(stored[1] / type.bytes(block) * block));
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        Shape shape = shape(linear, tensors, scheme);
        GgufType type = GgufType.of(scheme);
        ByteBuffer bytes = new StoredLinear(tensors, linear)
                .read("." + CODES, DType.U8, shape.outputs(), type.bytes(shape.inputs()));
        return new BlockPacking(scheme).unpack(bytes, shape.outputs(), shape.inputs());
    }

    /** None: types stand in the file's header. */
    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return Map.of();
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return null;
    }
}
