package quern.format.eetq;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.Joint;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.ScaleRule;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Integers arranged for a GPU; the package's description is the specification. */
public final class EetqFormat implements Format {
    private static final String CODES = ".weight";
    private static final String SCALES = ".weight_scales";

    /** Inputs of an output that lie side by side. */
    private static final int TILE = 64;

    private static final int MIDDLE = 128;

    /** Where each of 16 inputs goes among them. */
    private static final int[] PLACE = {0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15};

    @Override
    public String name() {
        return "eetq";
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F16;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orElse("gptq", 8, -1, ScaleRule.SALIENCY);
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.bits() != 8 || recipe.groupSize() != -1 || !recipe.symmetric()) {
            throw new QuernException(
                    "Cannot write format eetq: it is of 8 bits, symmetric, with a scale a row (leave --bits, --group-size and --asym away)");
        }
        return scheme(recipe.actOrder());
    }

    private static Scheme scheme(ColumnOrder order) {
        return new Scheme(8, -1, true, false, order, DType.F16);
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return outputs % TILE == 0 && inputs % TILE == 0
                ? null
                : "its kernels want inputs and outputs that are multiples of 64, there are %d and %d (skip it, or use format bitsandbytes-int8)"
                        .formatted(inputs, outputs);
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        return List.of(
                TensorSpec.of(linear + CODES, DType.I8, inputs, outputs),
                TensorSpec.of(linear + SCALES, scheme.scaleType(), outputs));
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.ROWS, Joint.ROWS); // two outputs follow two others
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        byte[] arranged = new byte[q.codes().length];
        for (int n = 0, from = 0; n < q.outputs(); n++) {
            for (int k = 0; k < q.inputs(); k++) {
                arranged[at(n, k, q.inputs())] = q.codes()[from++];
            }
        }
        return List.of(
                ByteBuffer.wrap(arranged),
                HalfFloats.fromFloats(q.scales(), q.scheme().scaleType()));
    }

    private static int at(int n, int k, int inputs) {
        int placed = k - k % PLACE.length + PLACE[k % PLACE.length];
        int at = n / 2 * 2 * inputs + placed / TILE * 2 * TILE + n % 2 * TILE + placed % TILE;
        return at % 4 == 1 ? at + 1 : at % 4 == 2 ? at - 1 : at;
    }

    @Override
    public String codes() {
        return SCALES.substring(1); // what the unquantized model does not have
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        int[] shape = new StoredLinear(tensors, linear).shape(CODES);
        return new Shape(shape[1], shape[0]);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        String refusal = refuses(scheme, shape.outputs(), shape.inputs());
        if (refusal != null) {
            throw stored.unreadable(CODES, refusal);
        }
        ByteBuffer arranged = stored.read(CODES, DType.I8, shape.inputs(), shape.outputs());
        byte[] codes = new byte[Math.multiplyExact(shape.outputs(), shape.inputs())];
        for (int n = 0, to = 0; n < shape.outputs(); n++) {
            for (int k = 0; k < shape.inputs(); k++) {
                codes[to++] = arranged.get(arranged.position() + at(n, k, shape.inputs()));
            }
        }
        float[] zeros = new float[shape.outputs()];
        Arrays.fill(zeros, MIDDLE);
        return new QuantizedLinear(
                scheme,
                shape.outputs(),
                shape.inputs(),
                codes,
                stored.floats(SCALES, shape.outputs()),
                zeros,
                QuantizedLinear.runs(shape.inputs(), shape.inputs()));
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        List<String> left = new ArrayList<>(List.of("lm_head"));
        left.addAll(KeptModules.parts(kept, quantized, name()));
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "eetq");
        block.put("weights", "int8");
        block.put("modules_to_not_convert", left);
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return "eetq".equals(new Settings(quantizationConfig).text("quant_method"))
                ? Schemes.all(scheme(ColumnOrder.OFF))
                : null;
    }
}
