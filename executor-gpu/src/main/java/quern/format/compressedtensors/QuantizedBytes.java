package quern.format.compressedtensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.FixedScale;
import quern.format.Float8;
import quern.format.Format;
import quern.format.Joint;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.Grid;
import quern.scheme.IntegerGrid;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** A byte a weight and a scale a row, with inputs that are quantized when the model runs; see the package's description. */
public final class QuantizedBytes implements Format {
    private final String name;
    private final String layout;
    private final Grid grid;

    private QuantizedBytes(String name, String layout, Grid grid) {
        this.name = name;
        this.layout = layout;
        this.grid = grid;
    }

    /** Integers: W8A8. */
    public static QuantizedBytes int8() {
        return new QuantizedBytes("compressed-tensors-int8", "int-quantized", new IntegerGrid(8, true, false));
    }

    /** Floats, E4M3: FP8 with dynamic activations. */
    public static QuantizedBytes fp8() {
        return new QuantizedBytes("compressed-tensors-fp8", "float-quantized", LevelGrid.E4M3);
    }

    private boolean integers() {
        return grid instanceof IntegerGrid;
    }

    @Override
    public String name() {
        return name;
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
    public Recipe settled(Recipe recipe) {
        return integers()
                ? recipe.orElse("gptq", 8, -1, ScaleRule.SALIENCY)
                : recipe.orElse("rtn", 8, -1, ScaleRule.MAX);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 8 || recipe.groupSize() != -1 || !recipe.symmetric()) {
            throw new QuernException("Cannot write format " + name
                    + ": it is of 8 bits, symmetric, with a scale a row (leave --bits, --group-size and --asym away)");
        }
        return new Scheme(grid, -1, 1, recipe.actOrder(), scaleType(weights));
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    private DType type() {
        return integers() ? DType.I8 : DType.F8_E4M3;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + ".weight", type(), outputs, inputs),
                TensorSpec.of(linear + ".weight_scale", scheme.scaleType(), outputs, 1));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return List.of(
                ByteBuffer.wrap(integers() ? moved(q.codes(), -grid.middle()) : Float8.bytes(q.codes())),
                HalfFloats.fromFloats(q.scales(), q.scheme().scaleType()));
    }

    private static byte[] moved(byte[] codes, int by) {
        byte[] moved = new byte[codes.length];
        for (int i = 0; i < moved.length; i++) {
            moved[i] = (byte) (codes[i] + by);
        }
        return moved;
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS);
    }

    @Override
    public FixedScale inputScale(DType weights) {
        // Half of the 255 steps from -128 to 127; see the package's description.
        return FixedScale.multiplier(".input_scale", scaleType(weights), integers() ? 127.5f : grid.reach(), 1L);
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return CompressedConfig.cacheScales(weights);
    }

    @Override
    public String codes() {
        return "weight_scale";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        int[] shape = new StoredLinear(tensors, linear).shape(".weight");
        return new Shape(shape[0], shape[1]);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        byte[] codes = new byte[Math.multiplyExact(shape.outputs(), shape.inputs())];
        stored.read(".weight", type(), shape.outputs(), shape.inputs()).get(codes);
        float[] zeros = new float[shape.outputs()];
        Arrays.fill(zeros, grid.middle());
        return new QuantizedLinear(
                scheme.with(stored.floatType(".weight_scale")),
                shape.outputs(),
                shape.inputs(),
                integers() ? moved(codes, grid.middle()) : Float8.places(codes, stored, ".weight"),
                stored.floats(".weight_scale", shape.outputs(), 1),
                zeros,
                new int[shape.inputs()]);
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
        return CompressedConfig.arguments(integers() ? "int" : "float", strategy, dynamic);
    }

    /** Only what it writes; other granularities are read as sources. */
    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings found = CompressedConfig.weights(quantizationConfig, layout);
        return found != null && "channel".equals(found.text("strategy")) && found.flag("symmetric", true)
                ? Schemes.all(new Scheme(grid, -1, 1, ColumnOrder.OFF, scaleType(weights)))
                : null;
    }
}
