package quern.format.compressedtensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import quern.format.BitPacking;
import quern.format.FixedScale;
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

/** The pack-quantized layout; the package's description is its specification. */
public final class PackQuantized implements Format {
    @Override
    public String name() {
        return "compressed-tensors";
    }

    @Override
    public DType scaleType(DType weights) {
        return weights == DType.BF16 || weights == DType.F16 ? weights : DType.F32;
    }

    @Override
    public @Nullable String refuses(Scheme scheme, int outputs, int inputs) {
        return null;
    }

    /** Whether the group of an input is stored: only where it is not input / group size. */
    private static boolean storesGroups(Scheme scheme) {
        return scheme.order() == ColumnOrder.FULL && scheme.groupSize() != -1;
    }

    @Override
    public List<TensorSpec> layout(String linear, int outputs, int inputs, Scheme scheme) {
        int bits = scheme.bits();
        int groups = scheme.groups(inputs);
        List<TensorSpec> tensors = new ArrayList<>();
        tensors.add(TensorSpec.of(linear + ".weight_packed", DType.I32, outputs, BitPacking.words(inputs, bits)));
        tensors.add(TensorSpec.of(linear + ".weight_scale", scheme.scaleType(), outputs, groups));
        if (!scheme.symmetric()) {
            tensors.add(
                    TensorSpec.of(linear + ".weight_zero_point", DType.I32, BitPacking.words(outputs, bits), groups));
        }
        tensors.add(TensorSpec.of(linear + ".weight_shape", DType.I64, 2));
        if (storesGroups(scheme)) {
            tensors.add(TensorSpec.of(linear + ".weight_g_idx", DType.I32, inputs));
        }
        return tensors;
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q) {
        return pack(q, q.outputs());
    }

    @Override
    public List<ByteBuffer> pack(QuantizedLinear q, int outputs) {
        Scheme scheme = q.scheme();
        int bits = scheme.bits();
        List<ByteBuffer> tensors = new ArrayList<>();
        tensors.add(BitPacking.packRows(q.codes(), q.outputs(), q.inputs(), bits));
        tensors.add(HalfFloats.fromFloats(q.scales(), scheme.scaleType()));
        if (!scheme.symmetric()) {
            byte[] zeros = BitPacking.transpose(q.zeroCodes(), q.outputs(), q.groups()); // groups x outputs
            ByteBuffer rows = BitPacking.packRows(zeros, q.groups(), q.outputs(), bits); // groups x words
            tensors.add(BitPacking.transposeWords(rows, q.groups(), BitPacking.words(q.outputs(), bits)));
        }
        tensors.add(ByteBuffer.allocate(16)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(outputs)
                .putLong(q.inputs())
                .flip());
        if (storesGroups(scheme)) {
            ByteBuffer groupIndex = ByteBuffer.allocate(4 * q.inputs()).order(ByteOrder.LITTLE_ENDIAN);
            groupIndex.asIntBuffer().put(q.groupOfColumn());
            tensors.add(groupIndex);
        }
        return tensors;
    }

    @Override
    public List<Joint> joints(Scheme scheme) {
        List<Joint> joints = new ArrayList<>(List.of(Joint.ROWS, Joint.ROWS));
        if (!scheme.symmetric()) {
            joints.add(Joint.ROWS);
        }
        joints.add(Joint.SAME);
        if (storesGroups(scheme)) {
            joints.add(Joint.SAME);
        }
        return joints;
    }

    @Override
    public List<FixedScale> cacheScales(DType weights) {
        return CompressedConfig.cacheScales(weights);
    }

    @Override
    public String codes() {
        return "weight_packed";
    }

    /** Where the scales do not tell the inputs, weight_shape does: the last word may hold fewer codes than fit. */
    @Override
    public Shape shape(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int[] packed = stored.shape(".weight_packed");
        if (scheme.groupSize() == -1) {
            return declaredShape(stored, packed, scheme.bits());
        }
        long most = packed[1] * 32L / scheme.bits();
        return new Shape(packed[0], (int) Math.min(most, (long) stored.shape(".weight_scale")[1] * scheme.groupSize()));
    }

    private static Shape declaredShape(StoredLinear stored, int[] packed, int bits) throws IOException {
        ByteBuffer shape = stored.read(".weight_shape", DType.I64, 2);
        long outputs = shape.getLong(shape.position());
        long inputs = shape.getLong(shape.position() + 8);
        if (outputs != packed[0] || inputs < 1 || inputs > Integer.MAX_VALUE / 8 || packed[1] * 32L < inputs * bits) {
            throw stored.unreadable(
                    ".weight_shape", "it says " + outputs + " x " + inputs + ", which is not what weight_packed holds");
        }
        return new Shape(packed[0], (int) inputs);
    }

    @Override
    public QuantizedLinear unpack(String linear, TensorSource tensors, Scheme scheme) throws IOException {
        StoredLinear stored = new StoredLinear(tensors, linear);
        int bits = scheme.bits();
        Shape shape = declaredShape(stored, stored.shape(".weight_packed"), bits);
        int n = shape.outputs();
        int k = shape.inputs();
        int groups = scheme.groups(k);
        ByteBuffer words = stored.read(".weight_packed", DType.I32, n, BitPacking.words(k, bits));
        byte[] zeros = new byte[n * groups];
        Arrays.fill(zeros, (byte) scheme.middle());
        if (!scheme.symmetric()) {
            int zeroWords = BitPacking.words(n, bits);
            ByteBuffer columns = stored.read(".weight_zero_point", DType.I32, zeroWords, groups);
            ByteBuffer rows = BitPacking.transposeWords(columns, zeroWords, groups); // groups x words
            zeros = BitPacking.transpose(BitPacking.unpackRows(rows, groups, n, bits), groups, n);
        }
        return new QuantizedLinear(
                scheme.with(stored.floatType(".weight_scale")),
                n,
                k,
                BitPacking.unpackRows(words, n, k, bits),
                stored.floats(".weight_scale", n, groups),
                QuantizedLinear.zeros(zeros),
                storesGroups(scheme)
                        ? stored.groupOfColumn(".weight_g_idx", k, groups)
                        : QuantizedLinear.runs(k, scheme.groupLength(k)));
    }

    @Override
    public boolean mixes() {
        return true;
    }

    @Override
    public Map<String, Object> quantizationConfig(
            Recipe recipe, Schemes schemes, List<String> quantized, List<String> kept) {
        return PackQuantizedConfig.write(recipe, schemes, quantized, kept);
    }

    @Override
    public @Nullable Schemes schemes(Map<String, Object> quantizationConfig, DType weights) {
        return PackQuantizedConfig.read(quantizationConfig, scaleType(weights));
    }
}
