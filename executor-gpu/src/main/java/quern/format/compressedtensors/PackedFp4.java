package quern.format.compressedtensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.FixedScale;
import quern.format.Format;
import quern.format.Joint;
import quern.format.Nibbles;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
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

/** The nvfp4- and mxfp4-pack-quantized layouts; the package's description is their specification. */
public final class PackedFp4 implements Format {
    /** The place of 0 in the grid. */
    private static final int ZERO = 8;

    private static final Nibbles E2M1 = nibbles();

    private final String name;
    private final String layout;
    private final int group;
    private final DType scaleType;

    private PackedFp4(String name, String layout, int group, DType scaleType) {
        this.name = name;
        this.layout = layout;
        this.group = group;
        this.scaleType = scaleType;
    }

    /** Groups of 16, whose scales are 8-bit floats with a divisor for the tensor. */
    public static PackedFp4 nvfp4() {
        return new PackedFp4("compressed-tensors-nvfp4", "nvfp4-pack-quantized", 16, DType.F8_E4M3);
    }

    /** Groups of 32, whose scales are powers of two. */
    public static PackedFp4 mxfp4() {
        return new PackedFp4("compressed-tensors-mxfp4", "mxfp4-pack-quantized", 32, DType.F8_E8M0);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public DType scaleType(DType weights) {
        return scaleType;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 4, group, ScaleRule.SALIENCY);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 4
                || recipe.groupSize() != group
                || !recipe.symmetric()
                || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException("Cannot write format " + name + ": it is of 4 bits in groups of " + group
                    + ", without zero points and an index of groups"
                    + " (leave --bits, --group-size and --asym away, and use --act-order static)");
        }
        return new Scheme(LevelGrid.E2M1, group, 1, recipe.actOrder(), scaleType);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    /** Sign and magnitude. */
    private static Nibbles nibbles() {
        byte[] codes = new byte[16];
        byte[] places = new byte[16];
        for (int place = 0; place < codes.length; place++) {
            codes[place] = (byte) (place < ZERO ? ZERO - 1 - place | 8 : place - ZERO);
            places[codes[place]] = (byte) place;
        }
        return new Nibbles(codes, places, true);
    }

    private boolean divided() {
        return scaleType == DType.F8_E4M3;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        List<TensorSpec> specs = new ArrayList<>(List.of(
                TensorSpec.of(linear + ".weight_packed", DType.U8, outputs, inputs / 2),
                TensorSpec.of(
                        linear + ".weight_scale", divided() ? DType.F8_E4M3 : DType.U8, outputs, inputs / group)));
        if (divided()) {
            specs.add(TensorSpec.of(linear + ".weight_global_scale", DType.F32, 1));
        }
        return specs;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        float[] scales = q.scales().clone();
        for (int i = 0; i < scales.length; i++) {
            scales[i] *= q.divisor();
        }
        List<ByteBuffer> buffers = new ArrayList<>(
                List.of(ByteBuffer.wrap(E2M1.pack(q.codes())), HalfFloats.fromFloats(scales, scaleType)));
        if (divided()) {
            buffers.add(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putFloat(q.divisor())
                    .flip());
        }
        return buffers;
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return divided() ? List.of(Joint.ROWS, Joint.ROWS, Joint.SAME) : List.of(Joint.ROWS, Joint.ROWS);
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return CompressedConfig.cacheScales(weights);
    }

    @Override
    public String codes() {
        return "weight_packed";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int[] packed = stored.shape(".weight_packed");
        int inputs = Math.multiplyExact(2, packed[1]);
        int[] scales = stored.shape(".weight_scale");
        if (scales[0] != packed[0] || scales[1] != scheme.groups(inputs)) {
            throw stored.unreadable(
                    ".weight_scale",
                    "it is " + scales[0] + " x " + scales[1] + " for " + packed[0] + " x " + inputs + " weights");
        }
        return new Shape(packed[0], inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        int groups = scheme.groups(shape.inputs());
        ByteBuffer pairs = stored.read(".weight_packed", DType.U8, shape.outputs(), shape.inputs() / 2);
        DType type = divided() ? DType.F8_E4M3 : DType.U8;
        float[] scales = HalfFloats.toFloats(
                stored.read(".weight_scale", type, shape.outputs(), groups), scaleType, shape.outputs() * groups);
        float divisor =
                divided() ? HalfFloats.toFloats(stored.read(".weight_global_scale", DType.F32, 1), DType.F32, 1)[0] : 1;
        for (int i = 0; i < scales.length; i++) {
            scales[i] /= divisor;
        }
        return new QuantizedLinear(
                scheme,
                shape.outputs(),
                shape.inputs(),
                E2M1.unpack(pairs),
                scales,
                new float[scales.length],
                QuantizedLinear.runs(shape.inputs(), group),
                divisor);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> weights = new LinkedHashMap<>();
        weights.put("num_bits", 4);
        weights.put("type", "float");
        weights.put("symmetric", true);
        weights.put("strategy", divided() ? "tensor_group" : "group");
        weights.put("group_size", group);
        weights.put("dynamic", false);
        weights.put("scale_dtype", divided() ? "torch.float8_e4m3fn" : "torch.uint8");
        return CompressedConfig.write(recipe, layout, weights, null, kept);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return CompressedConfig.weights(quantizationConfig, layout) == null
                ? null
                : Schemes.all(new Scheme(LevelGrid.E2M1, group, 1, ColumnOrder.OFF, scaleType));
    }
}
