package quern.format.gptq;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.BitPacking;
import quern.format.Format;
import quern.format.Joint;
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

/** The GPTQ layouts; the package's description is their specification. */
public final class GptqFormat implements Format {
    /** Inputs and outputs are multiples of this in every loader; three bits need it for whole words. */
    private static final int MULTIPLE = 32;

    private final String name;
    /** What is subtracted from a zero point before it is stored, modulo 2^bits. */
    private final int zeroOffset;

    private GptqFormat(String name, int zeroOffset) {
        this.name = name;
        this.zeroOffset = zeroOffset;
    }

    /** The original layout, which everything loads: zero points are stored minus one. */
    public static GptqFormat v1() {
        return new GptqFormat("gptq", 1);
    }

    /** The same with zero points stored as they are. */
    public static GptqFormat v2() {
        return new GptqFormat("gptq_v2", 0);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String readers() {
        return "gptq";
    }

    @Override
    public DType scaleType(DType weights) {
        return DType.F16;
    }

    @Override
    public int lowestZero() {
        return zeroOffset;
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        if (inputs % MULTIPLE != 0 || outputs % MULTIPLE != 0) {
            return "format " + name + " needs inputs and outputs that are multiples of " + MULTIPLE + ", it has "
                    + inputs + " and " + outputs + " (skip it, or format compressed-tensors would do)";
        }
        return null;
    }

    @Override
    public boolean replacesConv1d() {
        return true;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int groups = scheme.groups(inputs);
        return List.of(
                TensorSpec.of(linear + ".qweight", DType.I32, BitPacking.words(inputs, scheme.bits()), outputs),
                TensorSpec.of(linear + ".qzeros", DType.I32, groups, BitPacking.words(outputs, scheme.bits())),
                TensorSpec.of(linear + ".scales", scheme.scaleType(), groups, outputs),
                TensorSpec.of(linear + ".g_idx", DType.I32, inputs));
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        int bits = q.scheme().bits();
        int groups = q.groups();
        ByteBuffer rows = BitPacking.packRows(q.codes(), q.outputs(), q.inputs(), bits); // outputs x words
        byte[] zeros = BitPacking.transpose(q.zeroCodes(), q.outputs(), groups); // groups x outputs
        for (int i = 0; i < zeros.length; i++) {
            if ((zeros[i] & 0xff) < zeroOffset) {
                throw new IllegalArgumentException("Zero point 0 has no place in format " + name);
            }
            zeros[i] -= (byte) zeroOffset;
        }
        ByteBuffer groupIndex = ByteBuffer.allocate(4 * q.inputs()).order(ByteOrder.LITTLE_ENDIAN);
        groupIndex.asIntBuffer().put(q.groupOfColumn());
        return List.of(
                BitPacking.transposeWords(rows, q.outputs(), BitPacking.words(q.inputs(), bits)),
                BitPacking.packRows(zeros, groups, q.outputs(), bits),
                HalfFloats.fromFloats(
                        BitPacking.transpose(q.scales(), q.outputs(), groups),
                        q.scheme().scaleType()),
                groupIndex);
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        return List.of(Joint.COLUMNS, Joint.COLUMNS, Joint.COLUMNS, Joint.SAME);
    }

    @Override
    public String codes() {
        return "qweight";
    }

    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int[] packed = stored.shape(".qweight"); // words x outputs
        int inputs = Math.toIntExact(packed[0] * 32L / scheme.bits());
        if (BitPacking.words(inputs, scheme.bits()) != packed[0]) {
            throw stored.unreadable(
                    ".qweight", packed[0] + " rows do not hold whole codes of " + scheme.bits() + " bits");
        }
        return new Shape(packed[1], inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int bits = scheme.bits();
        Shape shape = shape(linear, tensors, scheme);
        int outputs = shape.outputs();
        int inputs = shape.inputs();
        int groups = scheme.groups(inputs);
        int words = BitPacking.words(inputs, bits);
        ByteBuffer rows = BitPacking.transposeWords(
                stored.read(".qweight", DType.I32, words, outputs), words, outputs); // outputs x words
        byte[] zeros = BitPacking.unpackRows(
                stored.read(".qzeros", DType.I32, groups, BitPacking.words(outputs, bits)), groups, outputs, bits);
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) (zeros[i] + zeroOffset & scheme.highestCode());
        }
        return new QuantizedLinear(
                scheme.with(stored.floatType(".scales")),
                outputs,
                inputs,
                BitPacking.unpackRows(rows, outputs, inputs, bits),
                BitPacking.transpose(stored.floats(".scales", groups, outputs), groups, outputs),
                QuantizedLinear.zeros(BitPacking.transpose(zeros, groups, outputs)),
                groupOfColumn(stored, scheme, inputs, groups));
    }

    /** Some tools leave the group index away where it is plain. */
    private static int[] groupOfColumn(StoredLinear stored, Scheme scheme, int inputs, int groups) throws IOException {
        if (stored.has(".g_idx")) {
            return stored.groupOfColumn(".g_idx", inputs, groups);
        }
        if (scheme.order() == ColumnOrder.FULL) {
            throw stored.unreadable(".g_idx", "desc_act is set and the checkpoint lacks this tensor");
        }
        return QuantizedLinear.runs(inputs, scheme.groupLength(inputs));
    }

    @Override
    public boolean mixes() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return GptqConfig.write(name, recipe, schemes, quantized, kept);
    }

    /** GPTQModel looks here first; the block is the same, without nesting. */
    @Override
    public Map<String, Object> sideFiles(Map<String, Object> quantizationConfig, List<String> quantized) {
        return Map.of("quantize_config.json", quantizationConfig);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return GptqConfig.read(name, quantizationConfig, scaleType(weights));
    }
}
