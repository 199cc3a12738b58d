package quern.format.modelopt;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.FixedScale;
import quern.scheme.ColumnOrder;
import quern.scheme.FixedScales;
import quern.scheme.LevelGrid;
import quern.scheme.Recipe;
import quern.scheme.Schemes;
import quern.tensor.DType;

/** ModelOpt's {@code FP8}; the package's description is its specification. */
public final class ModelOptFp8 extends ByteFormat {
    private static final String ALGORITHM = "FP8";

    public ModelOptFp8() {
        super("modelopt-fp8", new ByteMatrix(LevelGrid.E4M3, ".weight", ".weight_scale", ByteMatrix.Shape.ONE));
    }

    @Override
    public String readers() {
        return "modelopt";
    }

    /** Inputs always have a fixed scale. */
    @Override
    public Recipe settled(Recipe recipe) {
        return super.settled(recipe).with(new FixedScales(true, recipe.fixed().cache()));
    }

    @Override
    public FixedScale inputScale(DType weights) {
        return FixedScale.multiplier(".input_scale", DType.F32, LevelGrid.E4M3.reach());
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return ModelOptConfig.cacheScales();
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return ModelOptConfig.write(recipe, ALGORITHM, ModelOptConfig.eightBits(), ModelOptConfig.eightBits(), kept);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return ModelOptConfig.is(quantizationConfig, ALGORITHM)
                ? Schemes.all(scheme(ColumnOrder.OFF, DType.F32))
                : null;
    }
}
