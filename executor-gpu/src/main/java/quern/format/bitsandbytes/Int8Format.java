package quern.format.bitsandbytes;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.Format;
import quern.format.Joint;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.LevelGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Eight bits; the package's description is the specification. */
public final class Int8Format implements Format {
    /** The place of 0 in the grid: the code of a byte is its signed distance from it. */
    private static final int ZERO = 127;

    @Override
    public String name() {
        return "bitsandbytes-int8";
    }

    @Override
    public String readers() {
        return "bitsandbytes";
    }

    @Override
    public boolean quantizesActivations() {
        return true;
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F32;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orOwn("rtn", 8, -1);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 8 || recipe.groupSize() != -1 || !recipe.symmetric()) {
            throw Config.refused(
                    name(),
                    "its codes have 8 bits, a scale a row and no zero points (leave --bits, --group-size and --asym away)");
        }
        return new Scheme(LevelGrid.INT8, -1, 1, recipe.actOrder(), DType.F32);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + ".weight", DType.I8, outputs, inputs),
                TensorSpec.of(linear + ".SCB", DType.F32, outputs),
                TensorSpec.of(linear + ".weight_format", DType.U8));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        byte[] signed = new byte[q.codes().length];
        for (int i = 0; i < signed.length; i++) {
            signed[i] = (byte) ((q.codes()[i] & 0xff) - ZERO);
        }
        return List.of(
                ByteBuffer.wrap(signed), HalfFloats.fromFloats(q.scales(), DType.F32), ByteBuffer.wrap(new byte[1]));
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS, Joint.SAME);
    }

    @Override
    public String codes() {
        return "SCB";
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
        if (stored.read(".weight_format", DType.U8).get(0) != 0) {
            throw stored.unreadable(".weight_format", "only rows, 0, are read");
        }
        byte[] codes = new byte[shape.outputs() * shape.inputs()];
        stored.read(".weight", DType.I8, shape.outputs(), shape.inputs()).get(codes);
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) (Math.max(-ZERO, codes[i]) + ZERO);
        }
        float[] scales =
                HalfFloats.toFloats(stored.read(".SCB", DType.F32, shape.outputs()), DType.F32, shape.outputs());
        return new QuantizedLinear(
                scheme,
                shape.outputs(),
                shape.inputs(),
                codes,
                scales,
                new float[scales.length],
                new int[shape.inputs()]);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return Config.write(false, kept);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return Config.is(new Settings(quantizationConfig), false)
                ? Schemes.all(new Scheme(LevelGrid.INT8, -1, 1, ColumnOrder.OFF, DType.F32))
                : null;
    }
}
