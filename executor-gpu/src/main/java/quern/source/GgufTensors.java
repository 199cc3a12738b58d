package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import quern.QuernException;
import quern.format.gguf.GgufFamily;
import quern.format.gguf.GgufType;
import quern.store.BlobStore;
import quern.store.Gguf;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The tensors of a GGUF file. As they lie there they are bytes under ggml's names; {@link #packed} is what they stand for. Codes are shown
 * as F16, whose rounding is a small part of what it cost to choose them.
 */
final class GgufTensors implements TensorSource {
    private final GgufModel model;
    private final BlobStore store;
    private final Map<String, Gguf.Tensor> tensors;

    GgufTensors(GgufModel model, BlobStore store) {
        this.model = model;
        this.store = store;
        this.tensors = Collections.unmodifiableMap(new LinkedHashMap<>(model.tensors()));
    }

    /** All of them; the description names the types in few bits, and is empty where there is none. */
    Packed packed() {
        List<PackedTensor> packed = new ArrayList<>();
        Map<GgufType, Long> values = new EnumMap<>(GgufType.class);
        for (Gguf.Tensor tensor : tensors.values()) {
            if (!GgufFamily.isGenerated(tensor.name())) {
                packed.addAll(packed(tensor));
                values.merge(type(tensor), spec(tensor.name()).bytes(), Long::sum);
            }
        }
        String types = values.entrySet().stream()
                .filter(type -> type.getKey().plain() == null)
                .sorted(Map.Entry.<GgufType, Long>comparingByValue().reversed())
                .map(type -> type.getKey().name())
                .collect(Collectors.joining(" and "));
        return new Packed(
                types.isEmpty() ? "" : "GGUF in " + types,
                packed,
                tensors.keySet().stream().filter(GgufFamily::isGenerated).toList());
    }

    /** What a tensor stands for: one, or one for each expert. */
    private List<PackedTensor> packed(Gguf.Tensor tensor) {
        String name = model.family().name(tensor.name());
        if (name == null) {
            throw refused(tensor, "is not one that its architecture has", "use the original model");
        }
        if (spec(tensor.name()).bytes() > tensor.room()) {
            throw refused(tensor, "does not end before its file does", "download it again");
        }
        DType plain = type(tensor).plain();
        PackedTensor.Rows rows = (from, count) -> rows(tensor, from, count);
        if (model.family().permutes(tensor.name())) {
            int headDim = model.headDim();
            boolean vector = tensor.shape().size() == 1;
            rows = vector
                    ? (from, count) -> inHalves(rows(tensor, 0, 1), headDim, 1)
                    : inHalves(rows, headDim, cols(tensor));
        }
        float offset = model.family().offset(tensor.name());
        if (offset != 0) {
            rows = (from, count) -> {
                float[] values = rows(tensor, from, count);
                for (int i = 0; i < values.length; i++) {
                    values[i] -= offset;
                }
                return values;
            };
        }
        DType type = plain == null ? DType.F16 : plain;
        if (!GgufFamily.isStack(name)) {
            return List.of(new PackedTensor(new TensorSpec(name, type, tensor.shape()), List.of(tensor.name()), rows));
        }
        if (tensor.shape().size() != 3) {
            throw refused(tensor, "is " + tensor.shape() + " and holds no experts", "download it again");
        }
        List<Long> each = tensor.shape().subList(1, 3);
        List<PackedTensor> experts = new ArrayList<>();
        for (int e = 0; e < tensor.shape().get(0); e++) {
            int first = Math.toIntExact(e * each.get(0));
            experts.add(new PackedTensor(
                    new TensorSpec(GgufFamily.slice(name, e), type, each),
                    List.of(tensor.name()),
                    (from, count) -> rows(tensor, first + from, count)));
        }
        return experts;
    }

    /** Whole heads are read, and rows [from, from + count) taken out of them. */
    private static PackedTensor.Rows inHalves(PackedTensor.Rows rows, int headDim, int cols) {
        return (from, count) -> {
            int first = from / headDim * headDim;
            int end = (from + count + headDim - 1) / headDim * headDim;
            float[] heads = inHalves(rows.read(first, end - first), headDim, cols);
            float[] wanted = new float[count * cols];
            System.arraycopy(heads, (from - first) * cols, wanted, 0, wanted.length);
            return wanted;
        };
    }

    /** Heads whose rows 2j and 2j + 1 turn together, as heads whose rows j and j + headDim / 2 do. */
    private static float[] inHalves(float[] heads, int headDim, int cols) {
        float[] turned = new float[heads.length];
        for (int row = 0; row < heads.length / cols; row++) {
            System.arraycopy(heads, placeInHalves(row, headDim) * cols, turned, row * cols, cols);
        }
        return turned;
    }

    /** Where the row of a head stands whose neighbours turn together. */
    static int placeInHalves(int row, int headDim) {
        int inHead = row % headDim;
        return row - inHead + 2 * (inHead % (headDim / 2)) + inHead / (headDim / 2);
    }

    /** Its linears as codes. {@link QuernException} where no other format could have these. */
    PackedLinears linears() {
        return GgufLinears.of(model, this);
    }

    private float[] rows(Gguf.Tensor tensor, int from, int count) throws IOException {
        GgufType type = type(tensor);
        long row = type.bytes(cols(tensor));
        ByteBuffer bytes = store.read(tensor.file(), tensor.offset() + from * row, Math.toIntExact(count * row));
        return type.decode(bytes, Math.multiplyExact(count, cols(tensor)));
    }

    private static int cols(Gguf.Tensor tensor) {
        return Math.toIntExact(tensor.shape().get(tensor.shape().size() - 1));
    }

    private GgufType type(Gguf.Tensor tensor) {
        GgufType type = GgufType.of(tensor.type());
        if (type == null) {
            throw refused(
                    tensor, "is of ggml's type " + tensor.type(), "use a file in one of " + List.of(GgufType.values()));
        }
        if (!type.fits(cols(tensor))) {
            throw refused(tensor, "has rows of " + cols(tensor) + ", not whole blocks of " + type, "download it again");
        }
        return type;
    }

    private static QuernException refused(Gguf.Tensor tensor, String reason, String remedy) {
        return new QuernException("Cannot read the weights of " + tensor.file() + ": tensor '"
                + StoredModel.shown(tensor.name()) + "' " + reason + " (" + remedy + ")");
    }

    @Override
    public Set<String> names() {
        return tensors.keySet();
    }

    /** Its bytes. */
    @Override
    public TensorSpec spec(String name) {
        Gguf.Tensor tensor = Objects.requireNonNull(tensors.get(name), name);
        long values = 1;
        for (long size : tensor.shape()) {
            values = Math.multiplyExact(values, size);
        }
        return TensorSpec.of(name, DType.U8, type(tensor).bytes(values));
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        return read(name, 0, Math.toIntExact(spec(name).bytes()));
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        Gguf.Tensor tensor = Objects.requireNonNull(tensors.get(name), name);
        return store.read(tensor.file(), tensor.offset() + offset, length);
    }
}
