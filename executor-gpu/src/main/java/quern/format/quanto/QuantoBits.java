package quern.format.quanto;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.LinearPlace;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** {@code qint4} and {@code qint2}; the package's description is their specification. */
public final class QuantoBits implements Format {
    private static final String CODES = "weight._data._data";
    private static final String SIZE = "weight._size";

    /** The library's own group, and what it takes away where the inputs are no multiple. */
    private static final int GROUP = 128;

    private static final int STEP = 32;

    private final int bits;

    private QuantoBits(int bits) {
        this.bits = bits;
    }

    public static QuantoBits int4() {
        return new QuantoBits(4);
    }

    public static QuantoBits int2() {
        return new QuantoBits(2);
    }

    @Override
    public String name() {
        return "quanto-int" + bits;
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
    public boolean holdsFractionalZeros() {
        return true;
    }

    /** Zero points do not: they are stored as shifts, and rounded there. */
    @Override
    public boolean keepsScales() {
        return false;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", bits, GROUP, ScaleRule.SALIENCY)
                .edit()
                .symmetric(false)
                .recipe();
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != bits || recipe.groupSize() != GROUP || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException(
                    "Cannot write format %s: it is of %d bits, and its groups follow from a linear's inputs, in their order (leave --bits and --group-size away, and use --act-order static)"
                            .formatted(name(), bits));
        }
        return scheme(GROUP, recipe, weights);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights, LinearPlace linear) {
        scheme(recipe, weights); // refuses
        return scheme(group(linear.inputs()), recipe, weights);
    }

    /** Ranges begin and end as the library's where they are rounded to as it does. */
    private Scheme scheme(int group, Recipe recipe, DType weights) {
        boolean asTheLibrary = recipe.method().equals("rtn") && recipe.scales() == ScaleRule.MAX;
        return new Scheme(
                new IntegerGrid(bits, false, false, asTheLibrary), group, 1, recipe.actOrder(), scaleType(weights));
    }

    private Scheme scheme(int group, ColumnOrder order, DType scaleType) {
        return new Scheme(bits, group, false, false, order, scaleType);
    }

    /** Inputs of a group, as the library's linears choose them; -1 for the whole row. */
    private static int group(int inputs) {
        int group = GROUP;
        while (inputs % group != 0 && group > STEP) {
            group -= STEP;
        }
        return inputs > GROUP && inputs % group == 0 ? group : -1;
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return scheme.groupLength(inputs) == length(inputs)
                ? null
                : "the library has groups of %d in rows of %d inputs".formatted(length(inputs), inputs);
    }

    private static int length(int inputs) {
        return group(inputs) == -1 ? inputs : group(inputs);
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int length = scheme.groupLength(inputs);
        int rows = outputs * scheme.groups(inputs);
        return List.of(
                TensorSpec.of(linear + "." + CODES, DType.U8, step(rows), length),
                TensorSpec.of(linear + ".weight._scale", scheme.scaleType(), rows, 1),
                TensorSpec.of(linear + ".weight._shift", scheme.scaleType(), rows, 1),
                TensorSpec.of(linear + "." + SIZE, DType.I64, 2),
                TensorSpec.of(linear + ".input_scale", scheme.scaleType()),
                TensorSpec.of(linear + ".output_scale", scheme.scaleType()));
    }

    /** Rows of bytes. */
    private int step(int rows) {
        int codes = 8 / bits;
        return (rows + codes - 1) / codes;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        DType type = q.scheme().scaleType();
        float[] shifts = new float[q.zeros().length];
        for (int i = 0; i < shifts.length; i++) {
            shifts[i] = q.scales()[i] * q.zeros()[i];
        }
        ByteBuffer one = HalfFloats.fromFloats(new float[] {1}, type);
        return List.of(
                packed(q.codes(), q.scheme().groupLength(q.inputs())),
                HalfFloats.fromFloats(q.scales(), type),
                HalfFloats.fromFloats(shifts, type),
                ByteBuffer.allocate(16)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(q.outputs())
                        .putLong(q.inputs())
                        .flip(),
                one,
                one.duplicate());
    }

    private ByteBuffer packed(byte[] codes, int length) {
        byte[] bytes = new byte[step(codes.length / length) * length];
        for (int from = 0, shift = 0; from < codes.length; from += bytes.length, shift += bits) {
            for (int i = 0; i < Math.min(bytes.length, codes.length - from); i++) {
                bytes[i] |= (byte) (codes[from + i] << shift);
            }
        }
        return ByteBuffer.wrap(bytes);
    }

    @Override
    public String codes() {
        return CODES;
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        ByteBuffer size = stored.read("." + SIZE, DType.I64, 2);
        long outputs = size.getLong(size.position());
        long inputs = size.getLong(size.position() + 8);
        int length = stored.shape("." + CODES)[1];
        if (outputs < 1
                || inputs < 1
                || inputs % length != 0
                || outputs * inputs / length != stored.shape(".weight._scale")[0]) {
            throw stored.unreadable(
                    "." + SIZE, "it says %d x %d, of which there are no such groups".formatted(outputs, inputs));
        }
        return new Shape((int) outputs, (int) inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        stored.floatType(".input_scale");
        stored.floatType(".output_scale");
        int length = stored.shape("." + CODES)[1];
        int rows = shape.outputs() * (shape.inputs() / length);
        ByteBuffer packed = stored.read("." + CODES, DType.U8, step(rows), length);
        byte[] codes = new byte[Math.multiplyExact(shape.outputs(), shape.inputs())];
        int bytes = step(rows) * length;
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte)
                    ((packed.get(packed.position() + i % bytes) & 0xff) >>> bits * (i / bytes) & (1 << bits) - 1);
        }
        float[] scales = stored.floats(".weight._scale", rows, 1);
        float[] zeros = stored.floats(".weight._shift", rows, 1);
        for (int i = 0; i < rows; i++) {
            zeros[i] /= scales[i];
        }
        Scheme found = new Scheme(
                scheme.grid(),
                length == shape.inputs() ? scheme.groupSize() == length ? length : -1 : length,
                1,
                scheme.order(),
                stored.floatType(".weight._scale"));
        return new QuantizedLinear(
                found,
                shape.outputs(),
                shape.inputs(),
                codes,
                scales,
                zeros,
                QuantizedLinear.runs(shape.inputs(), length));
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> block = QuantoConfig.write("int" + bits);
        block.put("size", SIZE);
        return block;
    }

    @Override
    public Map<String, Object> sideFiles(Map<String, Object> quantizationConfig, List<String> quantized) {
        return QuantoConfig.sideFiles("qint" + bits, quantized);
    }

    /** The library's own are not read: they do not say how many groups make a row. */
    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return QuantoConfig.is(quantizationConfig, "int" + bits)
                        && SIZE.equals(new Settings(quantizationConfig).text("size"))
                ? Schemes.all(scheme(GROUP, ColumnOrder.OFF, scaleType(weights)))
                : null;
    }
}
