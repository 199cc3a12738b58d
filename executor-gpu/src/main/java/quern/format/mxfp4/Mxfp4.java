package quern.format.mxfp4;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Fp4Matrix;
import quern.format.LinearPlace;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Stacked experts in MXFP4; the package's description is its specification. */
public final class Mxfp4 implements Format {
    private static final int GROUP = 32;
    private static final String EXPERTS = ".mlp.experts";

    /** The only family whose experts loaders replace. */
    private static final String FAMILY = "gpt_oss";

    private static final List<String> KEPT =
            List.of("model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head");

    private static final Fp4Matrix MATRIX = new Fp4Matrix(GROUP, DType.F8_E8M0, ".blocks", ".scales", null);

    @Override
    public String name() {
        return "mxfp4";
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F8_E8M0;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 4, GROUP, ScaleRule.SALIENCY);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 4
                || recipe.groupSize() != GROUP
                || !recipe.symmetric()
                || recipe.actOrder() == ColumnOrder.FULL) {
            throw new QuernException(
                    "Cannot write format mxfp4: it is of 4 bits in groups of 32, without zero points and an index of groups"
                            + " (leave --bits, --group-size and --asym away, and use --act-order static)");
        }
        return MATRIX.scheme(recipe.actOrder());
    }

    @Override
    public @Nullable Scheme scheme(Recipe recipe, DType weights, LinearPlace linear) {
        if (!linear.modelType().equals(FAMILY)) {
            throw new QuernException(
                    "Cannot write a %s model in format mxfp4: its loaders replace the experts of gpt_oss, and ignore it elsewhere (use --format compressed-tensors-mxfp4)"
                            .formatted(linear.modelType()));
        }
        return linear.name().contains(EXPERTS + ".") ? scheme(recipe, weights) : null;
    }

    @Override
    public boolean stacks() {
        return true;
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + ".blocks", DType.U8, outputs, inputs / GROUP, GROUP / 2),
                TensorSpec.of(linear + ".scales", DType.U8, outputs, inputs / GROUP));
    }

    @Override
    public TensorSpec stacked(TensorSpec first, int experts) {
        String name = first.name().replaceFirst("\\.\\d+\\.(blocks|scales)$", "_$1");
        List<Long> shape =
                Stream.concat(Stream.of((long) experts), first.shape().stream()).toList();
        return new TensorSpec(name, first.dtype(), shape);
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return MATRIX.pack(q);
    }

    @Override
    public String codes() {
        return "blocks";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        return MATRIX.shape(linear, new ExpertTensors(tensors, linear));
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        return MATRIX.unpack(linear, new ExpertTensors(tensors, linear), scheme);
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Stream<String> whole = kept.stream()
                .filter(name -> name.contains(EXPERTS + "."))
                .map(name -> name.substring(0, name.indexOf(EXPERTS) + EXPERTS.length()))
                .distinct();
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("quant_method", "mxfp4");
        config.put("modules_to_not_convert", Stream.concat(KEPT.stream(), whole).toList());
        return config;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return "mxfp4".equals(quantizationConfig.get("quant_method"))
                ? Schemes.all(MATRIX.scheme(ColumnOrder.OFF))
                : null;
    }
}
