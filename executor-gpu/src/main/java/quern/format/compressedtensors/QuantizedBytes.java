package quern.format.compressedtensors;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.FixedScale;
import quern.format.Settings;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.Recipe;
import quern.scheme.Schemes;
import quern.tensor.DType;

/** A byte a weight and a scale a row, with inputs that are quantized when the model runs; see the package's description. */
public final class QuantizedBytes extends ByteFormat {
    private final String layout;

    private QuantizedBytes(String name, String layout, Grid grid) {
        super(name, new ByteMatrix(grid, ".weight", ".weight_scale", ByteMatrix.Shape.MATRIX));
        this.layout = layout;
    }

    /** Integers: W8A8. */
    public static QuantizedBytes int8() {
        return new QuantizedBytes("compressed-tensors-int8", "int-quantized", new IntegerGrid(8, true, false));
    }

    /** Floats, E4M3: FP8 with dynamic activations. */
    public static QuantizedBytes fp8() {
        return new QuantizedBytes("compressed-tensors-fp8", "float-quantized", LevelGrid.E4M3);
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public DType scaleType(DType weights) {
        return weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
    }

    @Override
    public FixedScale inputScale(DType weights) {
        // Half of the 255 steps from -128 to 127; see the package's description.
        return FixedScale.multiplier(
                ".input_scale", scaleType(weights), matrix().integers() ? 127.5f : LevelGrid.E4M3.reach(), 1L);
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return CompressedConfig.cacheScales(weights);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return CompressedConfig.write(
                recipe,
                layout,
                arguments("channel", false),
                recipe.fixed().inputs() ? arguments("tensor", false) : arguments("token", true),
                kept);
    }

    private Map<String, Object> arguments(String strategy, boolean dynamic) {
        return CompressedConfig.arguments(matrix().integers() ? "int" : "float", strategy, dynamic);
    }

    /** Only what it writes; other granularities are read as sources. */
    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings found = CompressedConfig.weights(quantizationConfig, layout);
        return found != null && "channel".equals(found.text("strategy")) && found.flag("symmetric", true)
                ? Schemes.all(scheme(ColumnOrder.OFF, scaleType(weights)))
                : null;
    }
}
