package quern.format.torchao;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Joint;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Few bits in groups, a byte for each code; the package's description is its specification. */
public final class TorchAoIntx implements Format {
    private static final String CONFIG = "IntxWeightOnlyConfig";
    private static final String CODES = "._weight_qdata";
    private static final String SCALES = "._weight_scale";
    private static final String ZEROS = "._weight_zero_point";

    @Override
    public String name() {
        return "torchao";
    }

    @Override
    public DType scaleType(DType weights) {
        return weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.groupSize() == -1 || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException("Cannot write format " + name()
                    + ": it has groups of so many inputs in their order (use --group-size 128 and --act-order static)");
        }
        return Format.super.scheme(recipe, weights);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int groups = scheme.groups(inputs);
        return List.of(
                TensorSpec.of(linear + CODES, DType.I8, outputs, inputs),
                TensorSpec.of(linear + SCALES, scheme.scaleType(), outputs, groups),
                TensorSpec.of(linear + ZEROS, DType.I8, outputs, groups));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        int half = 1 << (q.scheme().bits() - 1);
        return List.of(
                shifted(q.codes(), -half),
                HalfFloats.fromFloats(q.scales(), q.scheme().scaleType()),
                shifted(q.zeroCodes(), -half));
    }

    private static ByteBuffer shifted(byte[] bytes, int by) {
        byte[] shifted = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            shifted[i] = (byte) (bytes[i] + by);
        }
        return ByteBuffer.wrap(shifted);
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS, Joint.ROWS);
    }

    @Override
    public String codes() {
        return CODES.substring(1);
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        int[] shape = new StoredLinear(tensors, linear).shape(CODES);
        return new Shape(shape[0], shape[1]);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        int groups = scheme.groups(shape.inputs());
        return new QuantizedLinear(
                scheme.with(stored.floatType(SCALES)),
                shape.outputs(),
                shape.inputs(),
                codes(stored, CODES, scheme, shape.outputs(), shape.inputs()),
                stored.floats(SCALES, shape.outputs(), groups),
                QuantizedLinear.zeros(codes(stored, ZEROS, scheme, shape.outputs(), groups)),
                QuantizedLinear.runs(shape.inputs(), scheme.groupLength(shape.inputs())));
    }

    private static byte[] codes(StoredLinear stored, String suffix, Scheme scheme, int rows, int cols)
            throws IOException {
        byte[] bytes = new byte[Math.multiplyExact(rows, cols)];
        stored.read(suffix, DType.I8, rows, cols).get(bytes);
        byte[] codes = shifted(bytes, 1 << (scheme.bits() - 1)).array();
        for (byte code : codes) {
            if ((code & 0xff) > scheme.highestCode()) {
                throw stored.unreadable(suffix, "it holds a number of more than " + scheme.bits() + " bits");
            }
        }
        return codes;
    }

    @Override
    public Map<String, String> metadata(List<LinearSpec> linears, List<String> others, DType weights) {
        return TorchAo.metadata(linears, others, linear -> {
            Map<String, Object> data = new LinkedHashMap<>();
            data.put("target_dtype", TorchAo.type("int" + linear.scheme().bits()));
            data.put("block_size", TorchAo.block(linear));
            data.put("dtype", TorchAo.type(weights));
            data.put("activation_quantization", null);
            return TorchAo.weight("IntxUnpackedToInt8Tensor", data, List.of("qdata", "scale", "zero_point"));
        });
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Scheme scheme = schemes.usual();
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("weight_dtype", TorchAo.type("int" + scheme.bits()));
        data.put("granularity", TorchAo.versioned("PerGroup", 1, Map.of("group_size", scheme.groupSize())));
        data.put("mapping_type", TorchAo.object("MappingType", scheme.symmetric() ? "SYMMETRIC" : "ASYMMETRIC"));
        data.put("scale_dtype", null);
        data.put("intx_packing_format", TorchAo.object("IntxPackingFormat", "UNPACKED_TO_INT8"));
        data.put("intx_choose_qparams_algorithm", TorchAo.object("IntxChooseQParamsAlgorithm", "AFFINE"));
        return TorchAo.config(TorchAo.versioned(CONFIG, 2, data));
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings data = TorchAo.config(quantizationConfig, CONFIG);
        if (data == null) {
            return null;
        }
        String type = String.valueOf(data.part("weight_dtype").text("_data"));
        Settings granularity = data.part("granularity");
        if (!type.matches("int[2348]") || !"PerGroup".equals(granularity.text("_type"))) {
            throw new QuernException("Cannot read this torchao checkpoint: its weights are " + type + " by "
                    + granularity.text("_type") + " (int2, int3, int4 and int8 in groups are read)");
        }
        return Schemes.all(new Scheme(
                Integer.parseInt(type.substring(3)),
                granularity.part("_data").integer("group_size"),
                "SYMMETRIC".equals(data.part("mapping_type").text("_data")),
                false,
                ColumnOrder.OFF,
                scaleType(weights)));
    }
}
