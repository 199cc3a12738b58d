package quern.format.quanto;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.ByteFormat;
import quern.format.ByteMatrix;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** {@code qint8} and {@code qfloat8}; the package's description is their specification. */
public final class QuantoBytes extends ByteFormat {
    private final String weights;
    private final String type;

    private QuantoBytes(String weights, String type, Grid grid) {
        super(
                "quanto-" + weights.replace("float8", "fp8"),
                new ByteMatrix(grid, ".weight._data", ".weight._scale", ByteMatrix.Shape.MATRIX));
        this.weights = weights;
        this.type = type;
    }

    public static QuantoBytes int8() {
        return new QuantoBytes("int8", "qint8", new IntegerGrid(8, true, false));
    }

    public static QuantoBytes fp8() {
        return new QuantoBytes("float8", "qfloat8_e4m3fn", LevelGrid.E4M3);
    }

    @Override
    public String readers() {
        return "quanto";
    }

    @Override
    public DType scaleType(DType weights) {
        return weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        List<TensorSpec> specs = new ArrayList<>(super.layout(linear, outputs, inputs, scheme));
        specs.add(TensorSpec.of(linear + ".input_scale", scheme.scaleType()));
        specs.add(TensorSpec.of(linear + ".output_scale", scheme.scaleType()));
        return specs;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        List<ByteBuffer> buffers = new ArrayList<>(super.pack(q));
        ByteBuffer one = HalfFloats.fromFloats(new float[] {1}, q.scheme().scaleType());
        buffers.addAll(List.of(one, one.duplicate()));
        return buffers;
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        stored.floatType(".input_scale");
        stored.floatType(".output_scale");
        return super.unpack(linear, tensors, scheme);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return QuantoConfig.write(weights);
    }

    @Override
    public Map<String, Object> sideFiles(Map<String, Object> quantizationConfig, List<String> quantized) {
        return QuantoConfig.sideFiles(type, quantized);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType modelType) {
        return QuantoConfig.is(quantizationConfig, weights)
                ? Schemes.all(scheme(ColumnOrder.OFF, scaleType(modelType)))
                : null;
    }
}
