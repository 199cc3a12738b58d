package quern.format.modelopt;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.FixedScale;
import quern.format.Format;
import quern.format.Fp4Matrix;
import quern.format.Joint;
import quern.scheme.ColumnOrder;
import quern.scheme.FixedScales;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** ModelOpt's {@code NVFP4}; the package's description is its specification. */
public final class ModelOptNvfp4 implements Format {
    private static final String ALGORITHM = "NVFP4";
    private static final int GROUP = 16;
    private static final Fp4Matrix MATRIX = new Fp4Matrix(
            GROUP, DType.F8_E4M3, ".weight", ".weight_scale", new Fp4Matrix.Global(".weight_scale_2", true, List.of()));

    @Override
    public String name() {
        return "modelopt-nvfp4";
    }

    @Override
    public String readers() {
        return "modelopt";
    }

    @Override
    public DType scaleType(DType weights) {
        return MATRIX.scaleType();
    }

    /** Inputs always have a fixed scale. */
    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 4, GROUP, ScaleRule.SALIENCY)
                .with(new FixedScales(true, recipe.fixed().cache()));
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 4
                || recipe.groupSize() != GROUP
                || !recipe.symmetric()
                || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException(
                    "Cannot write format " + name() + ": it is of 4 bits in groups of 16, without zero points"
                            + " and an index of groups (leave --bits, --group-size and --asym away, and use --act-order static)");
        }
        return MATRIX.scheme(recipe.actOrder());
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    /** The divisor is stored as a multiplier, rounded. */
    @Override
    public boolean keepsScales() {
        return false;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return MATRIX.layout(linear, outputs, inputs);
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return MATRIX.pack(q);
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS, Joint.SAME);
    }

    /** Inputs are quantized in groups of 16 when the model runs, by scales of 8 bits under this one. */
    @Override
    public FixedScale inputScale(DType weights) {
        return FixedScale.multiplier(".input_scale", DType.F32, LevelGrid.E4M3.reach() * LevelGrid.E2M1.reach());
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return ModelOptConfig.cacheScales();
    }

    @Override
    public String codes() {
        return "weight_scale_2";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        return MATRIX.shape(linear, tensors);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return MATRIX.unpack(linear, tensors, scheme);
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> fourBits = new LinkedHashMap<>();
        fourBits.put("dynamic", false);
        fourBits.put("num_bits", 4);
        fourBits.put("type", "float");
        fourBits.put("group_size", GROUP);
        Map<String, Object> block = ModelOptConfig.write(recipe, ALGORITHM, fourBits, fourBits, kept);
        block.put("group_size", GROUP);
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return ModelOptConfig.is(quantizationConfig, ALGORITHM) ? Schemes.all(MATRIX.scheme(ColumnOrder.OFF)) : null;
    }
}
