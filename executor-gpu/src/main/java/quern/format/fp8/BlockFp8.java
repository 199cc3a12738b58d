package quern.format.fp8;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Float8;
import quern.format.Format;
import quern.format.Joint;
import quern.format.KeptModules;
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

/** Blocks of 128 x 128; the package's description is the specification. */
public final class BlockFp8 implements Format {
    private static final int BLOCK = 128;

    @Override
    public String name() {
        return "fp8";
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
        return recipe.orOwn("rtn", 8, BLOCK);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 8
                || recipe.groupSize() != BLOCK
                || !recipe.symmetric()
                || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException(
                    "Cannot write format fp8: it is of 8 bits in blocks of 128 x 128, without zero"
                            + " points, and its columns stay in place (leave --bits, --group-size, --asym and --act-order away)");
        }
        return new Scheme(LevelGrid.E4M3, BLOCK, BLOCK, recipe.actOrder(), DType.F32);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return outputs % BLOCK == 0 && inputs % BLOCK == 0
                ? null
                : "its readers want inputs and outputs that are multiples of 128, there are " + inputs + " and "
                        + outputs + " (skip it, or use format compressed-tensors-fp8)";
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + ".weight", DType.F8_E4M3, outputs, inputs),
                TensorSpec.of(linear + ".weight_scale_inv", DType.F32, outputs / BLOCK, inputs / BLOCK));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        int groups = q.groups();
        float[] scales = new float[q.outputs() / BLOCK * groups];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = q.scales()[i / groups * BLOCK * groups + i % groups];
        }
        return List.of(ByteBuffer.wrap(Float8.bytes(q.codes())), HalfFloats.fromFloats(scales, DType.F32));
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS);
    }

    @Override
    public String codes() {
        return "weight_scale_inv";
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
        String refused = refuses(scheme, shape.outputs(), shape.inputs());
        if (refused != null) {
            throw stored.unreadable(".weight", refused);
        }
        byte[] codes = new byte[Math.multiplyExact(shape.outputs(), shape.inputs())];
        stored.read(".weight", DType.F8_E4M3, shape.outputs(), shape.inputs()).get(codes);
        int groups = scheme.groups(shape.inputs());
        float[] blocks = stored.floats(".weight_scale_inv", shape.outputs() / BLOCK, groups);
        float[] scales = new float[shape.outputs() * groups];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = blocks[i / groups / BLOCK * groups + i % groups];
        }
        return new QuantizedLinear(
                scheme,
                shape.outputs(),
                shape.inputs(),
                Float8.places(codes, stored, ".weight"),
                scales,
                new float[scales.length],
                QuantizedLinear.runs(shape.inputs(), BLOCK));
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        List<String> left = new ArrayList<>(List.of("lm_head"));
        left.addAll(KeptModules.parts(kept, quantized, name()));
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "fp8");
        block.put("activation_scheme", "dynamic");
        block.put("weight_block_size", List.of(BLOCK, BLOCK));
        block.put("modules_to_not_convert", left);
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        boolean ours = "fp8".equals(new Settings(quantizationConfig).text("quant_method"))
                && List.of(BLOCK, BLOCK).equals(quantizationConfig.get("weight_block_size"));
        return ours ? Schemes.all(new Scheme(LevelGrid.E4M3, BLOCK, BLOCK, ColumnOrder.OFF, DType.F32)) : null;
    }
}
