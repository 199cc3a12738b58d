package quern.format.autoround;

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
import quern.format.awq.AwqFormat;
import quern.format.gptq.GptqFormat;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** What AutoRound's loaders read: the tensors of GPTQ or AWQ under a config of its own, see the package's description. */
public final class AutoRound implements Format {
    private static final String METHOD = "auto-round";
    private static final String OF_GPTQ = "auto_round:auto_gptq";
    private static final String OF_AWQ = "auto_round:auto_awq";
    private static final String INDEX = ".g_idx";

    private final GptqFormat symmetric = GptqFormat.v1();
    private final AwqFormat asymmetric = new AwqFormat();

    @Override
    public String name() {
        return "autoround";
    }

    private Format tensorsOf(Scheme scheme) {
        return scheme.symmetric() ? symmetric : asymmetric;
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F16;
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.actOrder() == ColumnOrder.FULL || (!recipe.symmetric() && recipe.bits() != 4)) {
            throw new QuernException(
                    "Cannot write format " + name()
                            + ": it has no index of groups, and zero points with 4 bits only (use --act-order static and --sym)");
        }
        return Format.super.scheme(recipe, weights);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return tensorsOf(scheme).refuses(scheme, outputs, inputs);
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return tensorsOf(scheme).layout(linear, outputs, inputs, scheme).stream()
                .filter(spec -> !spec.name().endsWith(INDEX))
                .toList();
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        List<ByteBuffer> buffers = tensorsOf(q.scheme()).pack(q);
        return buffers.subList(0, 3); // without the index, which is last
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return tensorsOf(scheme).joints(scheme).subList(0, 3);
    }

    @Override
    public String codes() {
        return "qweight";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return tensorsOf(scheme).shape(linear, tensors, scheme);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return tensorsOf(scheme).unpack(linear, tensors, scheme);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Scheme scheme = schemes.usual();
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", METHOD);
        block.put("packing_format", scheme.symmetric() ? OF_GPTQ : OF_AWQ);
        block.put("bits", scheme.bits());
        block.put("group_size", scheme.groupSize());
        block.put("sym", scheme.symmetric());
        block.put("data_type", "int");
        block.put("block_name_to_quantize", blocks(quantized));
        Map<String, Object> extra = new LinkedHashMap<>();
        for (String name : kept) {
            Map<String, Object> full = new LinkedHashMap<>();
            full.put("bits", 16);
            full.put("data_type", "float");
            extra.put(name, full);
        }
        if (!extra.isEmpty()) {
            block.put("extra_config", extra);
        }
        return block;
    }

    /** What all of them are in: {@code model.layers}. */
    private static String blocks(List<String> quantized) {
        return quantized.isEmpty() ? "" : quantized.get(0).replaceFirst("\\.\\d+\\..*", "");
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings block = new Settings(quantizationConfig);
        if (!METHOD.equals(block.text("quant_method"))) {
            return null;
        }
        boolean sym = block.flag("sym", true);
        String packing = block.text("packing_format");
        if (!(sym ? OF_GPTQ : OF_AWQ).equals(packing)) {
            throw new QuernException("Cannot read this checkpoint: AutoRound's packing " + packing
                    + (sym ? " of symmetric" : " of asymmetric") + " codes is not read (" + OF_GPTQ
                    + " is of symmetric, " + OF_AWQ + " of asymmetric ones)");
        }
        return Schemes.all(new Scheme(
                block.integer("bits"), block.integer("group_size"), sym, false, ColumnOrder.OFF, scaleType(weights)));
    }
}
