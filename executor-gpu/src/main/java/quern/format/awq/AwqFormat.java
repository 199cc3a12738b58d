package quern.format.awq;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.BitPacking;
import quern.format.Format;
import quern.format.Joint;
import quern.format.KeptModules;
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

/** The layout gemm; the package's description is its specification. */
public final class AwqFormat implements Format {
    private static final int BITS = 4;
    private static final int CODES_OF_WORD = 32 / BITS;
    private static final int[] ORDER = {0, 2, 4, 6, 1, 3, 5, 7};
    private static final int MULTIPLE = 32;

    @Override
    public String name() {
        return "awq";
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F16;
    }

    /** It has zero points, so they are used. */
    @Override
    public Recipe settled(Recipe recipe) {
        return Format.super.settled(recipe).edit().symmetric(false).recipe();
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        if (scheme.bits() != BITS) {
            return "it has codes of 4 bits only (use --bits 4, or --format gptq)";
        }
        if (scheme.order() == ColumnOrder.FULL) {
            return "it has no place for the order of full act-order (use --act-order static)";
        }
        return outputs % MULTIPLE == 0
                ? null
                : "it needs outputs that are a multiple of " + MULTIPLE + ", there are " + outputs + " (skip it)";
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int groups = scheme.groups(inputs);
        return List.of(
                TensorSpec.of(linear + ".qweight", DType.I32, inputs, outputs / CODES_OF_WORD),
                TensorSpec.of(linear + ".qzeros", DType.I32, groups, outputs / CODES_OF_WORD),
                TensorSpec.of(linear + ".scales", scheme.scaleType(), groups, outputs));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return List.of(
                words(BitPacking.transpose(q.codes(), q.outputs(), q.inputs())),
                words(BitPacking.transpose(q.zeroCodes(), q.outputs(), q.groups())),
                HalfFloats.fromFloats(
                        BitPacking.transpose(q.scales(), q.outputs(), q.groups()),
                        q.scheme().scaleType()));
    }

    /** @param codes rows x outputs */
    private static ByteBuffer words(byte[] codes) {
        ByteBuffer words = ByteBuffer.allocate(codes.length / 2).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 0; at < codes.length; at += CODES_OF_WORD) {
            int word = 0;
            for (int i = 0; i < CODES_OF_WORD; i++) {
                word |= codes[at + ORDER[i]] << BITS * i;
            }
            words.putInt(word);
        }
        return words.flip();
    }

    /** @return rows x outputs */
    private static byte[] codes(ByteBuffer words, int count) {
        byte[] codes = new byte[count];
        for (int at = 0; at < count; at += CODES_OF_WORD) {
            int word = words.getInt(words.position() + at / 2);
            for (int i = 0; i < CODES_OF_WORD; i++) {
                codes[at + ORDER[i]] = (byte) (word >>> BITS * i & 15);
            }
        }
        return codes;
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.COLUMNS, Joint.COLUMNS, Joint.COLUMNS);
    }

    @Override
    public String codes() {
        return "qweight";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int inputs = stored.shape(".qweight")[0];
        int[] scales = stored.shape(".scales"); // groups x outputs
        if (scales[1] % CODES_OF_WORD != 0 || scales[0] != scheme.groups(inputs)) {
            throw stored.unreadable(".scales", scales[0] + " x " + scales[1] + " does not fit " + inputs + " inputs");
        }
        return new Shape(scales[1], inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        int n = shape.outputs();
        int k = shape.inputs();
        int groups = scheme.groups(k);
        byte[] codes = codes(stored.read(".qweight", DType.I32, k, n / CODES_OF_WORD), k * n);
        byte[] zeros = codes(stored.read(".qzeros", DType.I32, groups, n / CODES_OF_WORD), groups * n);
        return new QuantizedLinear(
                scheme.with(stored.floatType(".scales")),
                n,
                k,
                BitPacking.transpose(codes, k, n),
                BitPacking.transpose(stored.floats(".scales", groups, n), groups, n),
                QuantizedLinear.zeros(BitPacking.transpose(zeros, groups, n)),
                QuantizedLinear.runs(k, scheme.groupLength(k)));
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "awq");
        block.put("bits", BITS);
        block.put("group_size", schemes.usual().groupSize());
        block.put("zero_point", true);
        block.put("version", "gemm");
        block.put("modules_to_not_convert", kept.isEmpty() ? null : KeptModules.parts(kept, quantized, name()));
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings block = new Settings(quantizationConfig);
        String method = block.text("quant_method");
        if (!"awq".equals(method)) {
            return null;
        }
        String version = block.text(block.has("version") ? "version" : "format");
        if (version != null && !version.toLowerCase(Locale.ROOT).equals("gemm")) {
            throw new QuernException("Cannot read this checkpoint: AWQ's layout " + version
                    + " is not read, gemm is (use the original model)");
        }
        int groupSize = block.integer(block.has("q_group_size") ? "q_group_size" : "group_size");
        return Schemes.all(new Scheme(BITS, groupSize, false, false, ColumnOrder.OFF, scaleType(weights)));
    }
}
