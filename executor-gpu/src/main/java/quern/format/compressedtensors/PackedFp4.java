package quern.format.compressedtensors;

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
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** The nvfp4- and mxfp4-pack-quantized layouts; the package's description is their specification. */
public final class PackedFp4 implements Format {
    private final String name;
    private final String layout;
    private final Fp4Matrix matrix;

    private PackedFp4(String name, String layout, int group, DType scaleType, Fp4Matrix.@Nullable Global global) {
        this.name = name;
        this.layout = layout;
        this.matrix = new Fp4Matrix(group, scaleType, ".weight_packed", ".weight_scale", global);
    }

    /** Groups of 16, whose scales are 8-bit floats with a divisor for the tensor. */
    public static PackedFp4 nvfp4() {
        return new PackedFp4(
                "compressed-tensors-nvfp4",
                "nvfp4-pack-quantized",
                16,
                DType.F8_E4M3,
                new Fp4Matrix.Global(".weight_global_scale", false, List.of(1L)));
    }

    /** Groups of 32, whose scales are powers of two. */
    public static PackedFp4 mxfp4() {
        return new PackedFp4("compressed-tensors-mxfp4", "mxfp4-pack-quantized", 32, DType.F8_E8M0, null);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public DType scaleType(DType weights) {
        return matrix.scaleType();
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 4, matrix.group(), ScaleRule.SALIENCY);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 4
                || recipe.groupSize() != matrix.group()
                || !recipe.symmetric()
                || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException("Cannot write format " + name + ": it is of 4 bits in groups of " + matrix.group()
                    + ", without zero points and an index of groups"
                    + " (leave --bits, --group-size and --asym away, and use --act-order static)");
        }
        return matrix.scheme(recipe.actOrder());
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return matrix.layout(linear, outputs, inputs);
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return matrix.pack(q);
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return matrix.global() == null ? List.of(Joint.ROWS, Joint.ROWS) : List.of(Joint.ROWS, Joint.ROWS, Joint.SAME);
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
        return matrix.shape(linear, tensors);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return matrix.unpack(linear, tensors, scheme);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        boolean divided = matrix.global() != null;
        Map<String, Object> weights = new LinkedHashMap<>();
        weights.put("num_bits", 4);
        weights.put("type", "float");
        weights.put("symmetric", true);
        weights.put("strategy", divided ? "tensor_group" : "group");
        weights.put("group_size", matrix.group());
        weights.put("dynamic", false);
        weights.put("scale_dtype", divided ? "torch.float8_e4m3fn" : "torch.uint8");
        return CompressedConfig.write(recipe, layout, weights, null, kept);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return CompressedConfig.weights(quantizationConfig, layout) == null
                ? null
                : Schemes.all(matrix.scheme(ColumnOrder.OFF));
    }
}
