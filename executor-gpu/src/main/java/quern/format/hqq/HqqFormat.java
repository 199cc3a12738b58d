package quern.format.hqq;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.QuernException;
import quern.format.Format;
import quern.format.KeptModules;
import quern.format.Settings;
import quern.format.StoredLinear;
import quern.scheme.ColumnOrder;
import quern.scheme.IntegerGrid;
import quern.scheme.QuantizedLinear;
import quern.scheme.Recipe;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Groups along the rows; the package's description is the specification. */
public final class HqqFormat implements Format {
    private static final int GROUP = 64;
    private static final int CODES_OF_WORD = 10; // of three bits

    @Override
    public String name() {
        return "hqq";
    }

    @Override
    public DType scaleType(DType weights) {
        return weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
    }

    @Override
    public boolean holdsFractionalZeros() {
        return true;
    }

    @Override
    public Recipe settled(Recipe recipe) {
        return recipe.orOwn("hqq", 4, GROUP).edit().symmetric(false).recipe();
    }

    @Override
    public Scheme scheme(Recipe recipe, DType weights) {
        if (recipe.actOrder() == ColumnOrder.FULL || recipe.groupSize() == -1) {
            throw new QuernException("Cannot write format hqq: it has groups along the rows and no index of them"
                    + " (leave --group-size away, and use --act-order static)");
        }
        return new Scheme(
                new IntegerGrid(recipe.bits(), false, false),
                recipe.groupSize(),
                1,
                recipe.actOrder(),
                scaleType(weights));
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        int rows = outputs * scheme.groups(inputs);
        return scheme.bits() == 3 || rows % (8 / scheme.bits()) == 0
                ? null
                : "its " + rows + " groups do not fill whole bytes (use another group size)";
    }

    /** What the library wants to know, besides shapes and numbers. */
    private static Map<String, byte[]> facts(Scheme scheme) {
        Map<String, byte[]> facts = new LinkedHashMap<>();
        facts.put("channel_wise", new byte[] {1});
        facts.put("optimize", new byte[] {1});
        facts.put("round_zero", new byte[] {(byte) (scheme.bits() == 4 ? 1 : 0)});
        for (String no : List.of("quant_scale", "quant_zero", "offload_meta", "view_as_float")) {
            facts.put(no, new byte[] {0});
        }
        facts.put("stores_quant_config", new byte[] {1});
        facts.put("encoded_state_dict", new byte[] {1});
        facts.put("packing", text(scheme.bits() == 3 ? "3bit_32" : scheme.bits() + "bit_u8"));
        facts.put("compute_dtype", text(torch(scheme.scaleType())));
        facts.put("unpack_view_dtype", text(scheme.bits() == 3 ? "torch.int32" : "torch.uint8"));
        return facts;
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static String torch(DType type) {
        return "torch." + (type == DType.BF16 ? "bfloat16" : type == DType.F16 ? "float16" : "float32");
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int rows = outputs * scheme.groups(inputs);
        int length = scheme.groupLength(inputs);
        List<TensorSpec> specs = new ArrayList<>(List.of(
                scheme.bits() == 3
                        ? TensorSpec.of(linear + ".W_q", DType.I32, step(rows), length)
                        : TensorSpec.of(linear + ".W_q", DType.U8, rows / (8 / scheme.bits()), length),
                TensorSpec.of(linear + ".scale", scheme.scaleType(), rows, 1),
                TensorSpec.of(linear + ".zero", scheme.scaleType(), rows, 1),
                TensorSpec.of(linear + ".shape", DType.I64, 2),
                TensorSpec.of(linear + ".nbits", DType.I32),
                TensorSpec.of(linear + ".axis", DType.I32),
                TensorSpec.of(linear + ".group_size", DType.I32)));
        facts(scheme)
                .forEach((name, bytes) -> specs.add(
                        bytes.length == 1
                                ? TensorSpec.of(linear + "." + name, DType.U8)
                                : TensorSpec.of(linear + "." + name, DType.U8, bytes.length)));
        return specs;
    }

    private static int step(int rows) {
        return (rows + CODES_OF_WORD - 1) / CODES_OF_WORD;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        Scheme scheme = q.scheme();
        int length = scheme.groupLength(q.inputs());
        List<ByteBuffer> buffers = new ArrayList<>(List.of(
                scheme.bits() == 3 ? words(q.codes(), length) : bytes(q.codes(), scheme.bits()),
                HalfFloats.fromFloats(q.scales(), scheme.scaleType()),
                HalfFloats.fromFloats(q.zeros(), scheme.scaleType()),
                ByteBuffer.allocate(16)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(q.outputs())
                        .putLong(q.inputs())
                        .flip(),
                integer(scheme.bits()),
                integer(1),
                integer(length)));
        facts(scheme).values().forEach(bytes -> buffers.add(ByteBuffer.wrap(bytes)));
        return buffers;
    }

    private static ByteBuffer integer(int value) {
        return ByteBuffer.allocate(4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .flip();
    }

    private static ByteBuffer bytes(byte[] codes, int bits) {
        byte[] packed = new byte[codes.length * bits / 8];
        for (int place = 0; place < 8 / bits; place++) {
            int from = place * packed.length;
            int shift = 8 - bits * (place + 1);
            for (int i = 0; i < packed.length; i++) {
                packed[i] |= (byte) (codes[from + i] << shift);
            }
        }
        return ByteBuffer.wrap(packed);
    }

    private static ByteBuffer words(byte[] codes, int length) {
        int[] words = new int[step(codes.length / length) * length];
        for (int from = 0, shift = 27; from < codes.length; from += words.length, shift -= 3) {
            int count = Math.min(words.length, codes.length - from);
            for (int i = 0; i < count; i++) {
                words[i] |= codes[from + i] << shift;
            }
        }
        ByteBuffer packed = ByteBuffer.allocate(4 * words.length).order(ByteOrder.LITTLE_ENDIAN);
        packed.asIntBuffer().put(words);
        return packed;
    }

    @Override
    public String codes() {
        return "W_q";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        ByteBuffer shape = stored.read(".shape", DType.I64, 2);
        long outputs = shape.getLong(shape.position());
        long inputs = shape.getLong(shape.position() + 8);
        int length = stored.shape(".W_q")[1];
        if (outputs < 1
                || inputs < 1
                || inputs % length != 0
                || outputs * inputs / length != stored.shape(".scale")[0]) {
            throw stored.unreadable(".shape", "it says " + outputs + " x " + inputs + ", which is not what W_q holds");
        }
        return new Shape((int) outputs, (int) inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        Shape shape = shape(linear, tensors, scheme);
        int bits = stored.integer(".nbits");
        int length = stored.integer(".group_size");
        stored.require(".axis", 1);
        Scheme found =
                new Scheme(new IntegerGrid(bits, false, false), length, 1, scheme.order(), stored.floatType(".scale"));
        for (Map.Entry<String, byte[]> fact : facts(found).entrySet()) {
            stored.present("." + fact.getKey(), DType.U8);
        }
        int rows = shape.outputs() * found.groups(shape.inputs());
        byte[] codes = new byte[Math.multiplyExact(shape.outputs(), shape.inputs())];
        if (bits == 3) {
            int words = step(rows) * length;
            ByteBuffer packed = stored.read(".W_q", DType.I32, step(rows), length);
            for (int from = 0, shift = 27; from < codes.length; from += words, shift -= 3) {
                for (int i = 0; i < Math.min(words, codes.length - from); i++) {
                    codes[from + i] = (byte) (packed.getInt(packed.position() + 4 * i) >>> shift & 7);
                }
            }
        } else {
            int size = codes.length * bits / 8;
            ByteBuffer packed = stored.read(".W_q", DType.U8, rows / (8 / bits), length);
            for (int place = 0; place < 8 / bits; place++) {
                int shift = 8 - bits * (place + 1);
                for (int i = 0; i < size; i++) {
                    int pair = packed.get(packed.position() + i) & 0xff;
                    codes[place * size + i] = (byte) (pair >>> shift & (1 << bits) - 1);
                }
            }
        }
        return new QuantizedLinear(
                found,
                shape.outputs(),
                shape.inputs(),
                codes,
                stored.floats(".scale", rows, 1),
                stored.floats(".zero", rows, 1),
                QuantizedLinear.runs(shape.inputs(), length));
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        Map<String, Object> weights = new LinkedHashMap<>();
        weights.put("nbits", schemes.usual().bits());
        weights.put("channel_wise", true);
        weights.put("group_size", schemes.usual().groupSize());
        weights.put("optimize", true);
        weights.put("round_zero", schemes.usual().bits() == 4);
        weights.put("axis", 1);
        weights.put("view_as_float", false);
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("weight_quant_params", weights);
        config.put("scale_quant_params", null);
        config.put("zero_quant_params", null);
        config.put("offload_meta", false);
        List<String> skipped = new ArrayList<>(List.of("lm_head"));
        skipped.addAll(KeptModules.parts(kept, quantized, name()));
        Map<String, Object> block = new LinkedHashMap<>();
        block.put("quant_method", "hqq");
        block.put("quant_config", config);
        block.put("skip_modules", skipped);
        return block;
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        Settings block = new Settings(quantizationConfig);
        if (!"hqq".equals(block.text("quant_method"))) {
            return null;
        }
        Settings found = block.part("quant_config").part("weight_quant_params");
        return Schemes.all(new Scheme(
                new IntegerGrid(found.integer("nbits"), false, false),
                found.integer("group_size"),
                1,
                ColumnOrder.OFF,
                scaleType(weights)));
    }
}
