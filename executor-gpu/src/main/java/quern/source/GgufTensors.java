package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
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
import quern.format.gguf.RowOrder;
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
        Map<String, List<Gguf.Tensor>> stacks = new LinkedHashMap<>();
        for (Gguf.Tensor tensor : tensors.values()) {
            if (!GgufFamily.isGenerated(tensor.name())) {
                String name = name(tensor);
                if (tensor.shape().size() > 1 && tensor.name().contains("_exps.") && !GgufFamily.isStack(name)) {
                    stacks.computeIfAbsent(name, first -> new ArrayList<>()).add(tensor);
                } else {
                    packed.addAll(packed(name, tensor));
                }
                values.merge(type(tensor), spec(tensor.name()).bytes(), Long::sum);
            }
        }
        stacks.forEach((name, parts) -> packed.add(stack(name, parts)));
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

    private String name(Gguf.Tensor tensor) {
        String name = model.family().name(tensor.name());
        if (name == null) {
            throw refused(tensor, "is not one that its architecture has", "use the original model");
        }
        if (spec(tensor.name()).bytes() > tensor.room()) {
            throw refused(tensor, "does not end before its file does", "download it again");
        }
        return name;
    }

    /** Of weights or biases of all experts. */
    private PackedTensor stack(String name, List<Gguf.Tensor> parts) {
        List<Gguf.Tensor> ordered = parts.stream()
                .sorted(Comparator.comparing(part -> model.family().order(part.name())))
                .toList();
        Gguf.Tensor first = ordered.get(0);
        boolean bias = first.name().endsWith(".bias");
        boolean fits = ordered.size() == model.family().order(first.name()).turns()
                && first.shape().size() == (bias ? 2 : 3)
                && ordered.stream().allMatch(part -> part.shape().equals(first.shape()));
        if (!fits) {
            throw refused(first, "is " + first.shape() + " and makes no whole with its like", "download it again");
        }
        GgufStack stack = new GgufStack(
                name,
                ordered.stream().map(Gguf.Tensor::name).toList(),
                ordered.stream()
                        .map(part -> (PackedTensor.Rows) (from, count) -> rows(part, from, count))
                        .toList(),
                first.shape());
        DType plain = type(first).plain();
        DType type = plain == null ? DType.F16 : plain;
        return bias ? stack.biases(type) : stack.weights(type);
    }

    /** What a tensor stands for: one, or one for each expert. */
    private List<PackedTensor> packed(String name, Gguf.Tensor tensor) {
        DType plain = type(tensor).plain();
        PackedTensor.Rows rows = (from, count) -> rows(tensor, from, count);
        RowOrder order = model.family().order(tensor.name());
        if (order != RowOrder.SAME) {
            int all = Math.toIntExact(tensor.shape().get(0));
            if (all % model.headDim() != 0) {
                throw refused(tensor, "is " + tensor.shape() + " and no whole heads", "download it again");
            }
            rows = tensor.shape().size() == 1
                    ? (from, count) -> ordered(elements(tensor), order, all, 1).read(0, all)
                    : ordered(rows, order, all, cols(tensor));
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
            List<Long> shape = GgufFamily.isRow(tensor.name()) && tensor.shape().size() == 1
                    ? List.of(1L, tensor.shape().get(0))
                    : tensor.shape();
            return List.of(new PackedTensor(new TensorSpec(name, type, shape), List.of(tensor.name()), rows));
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

    /** A vector as rows of one value. */
    private PackedTensor.Rows elements(Gguf.Tensor vector) {
        return (from, count) -> Arrays.copyOfRange(rows(vector, 0, 1), from, from + count);
    }

    /** Rows in the order of the Hugging Face model. Whole heads are read, as many at a time as stand together. */
    private PackedTensor.Rows ordered(PackedTensor.Rows rows, RowOrder order, int all, int cols) {
        int headDim = model.headDim();
        return (from, count) -> {
            float[] wanted = new float[count * cols];
            int end = from + count;
            for (int first = from / headDim * headDim; first < end; ) {
                int stored = head(order.stored(first, all, headDim), headDim);
                int next = first + headDim;
                while (next < end && head(order.stored(next, all, headDim), headDim) == stored + next - first) {
                    next += headDim;
                }
                float[] heads = rows.read(stored, next - first);
                for (int r = Math.max(first, from); r < Math.min(next, end); r++) {
                    int at = order.stored(r, all, headDim) - stored;
                    System.arraycopy(heads, at * cols, wanted, (r - from) * cols, cols);
                }
                first = next;
            }
            return wanted;
        };
    }

    /** The first row of the head that a row is of. */
    private static int head(int row, int headDim) {
        return row / headDim * headDim;
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
