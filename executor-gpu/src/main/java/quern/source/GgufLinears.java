package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import quern.QuernException;
import quern.format.Formats;
import quern.format.gguf.GgufType;
import quern.format.gguf.RowOrder;
import quern.scheme.Scheme;
import quern.scheme.Schemes;
import quern.store.Gguf;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * The linears of a GGUF file under the names that they have elsewhere, each a tensor of rows of blocks, and rows in the order of the
 * unquantized model.
 */
final class GgufLinears implements TensorSource {
    private final GgufModel model;
    private final GgufTensors tensors;
    private final Map<String, Gguf.Tensor> byName = new LinkedHashMap<>();
    private final Map<String, Scheme> schemes = new LinkedHashMap<>(); // by linear

    private GgufLinears(GgufModel model, GgufTensors tensors) {
        this.model = model;
        this.tensors = tensors;
    }

    /** {@link QuernException} where there are no codes that another format could have. */
    static PackedLinears of(GgufModel model, GgufTensors tensors) {
        GgufLinears linears = new GgufLinears(model, tensors);
        model.tensors().values().forEach(linears::add);
        if (linears.schemes.isEmpty()) {
            throw linears.refused("no linear of it is quantized", "quern quantize would do");
        }
        Schemes schemes = Schemes.of(linears.schemes);
        GgufType usual = linears.byName.values().stream()
                .map(tensor -> type(tensor))
                .filter(type -> schemes.usual().equals(type.scheme()))
                .findFirst()
                .orElseThrow();
        return new PackedLinears(
                Formats.named("gguf-" + usual.name().toLowerCase(Locale.ROOT)),
                schemes,
                List.copyOf(linears.schemes.keySet()),
                linears);
    }

    private void add(Gguf.Tensor tensor) {
        String name = model.family().name(tensor.name());
        GgufType type = type(tensor);
        // What is outside of the layers is no linear here, and has no codes in most formats.
        if (name == null || !tensor.name().startsWith("blk.") || type.plain() != null) {
            return;
        }
        if (tensor.shape().size() > 2) {
            throw refused("its experts are one tensor, " + tensor.name(), "quern quantize would do");
        }
        Scheme scheme = type.scheme();
        if (scheme == null || scheme.blocks() != null && scheme.blocks().nested()) {
            throw refused(
                    "its %s is of %s, %s"
                            .formatted(
                                    tensor.name(),
                                    type,
                                    scheme == null
                                            ? "whose codes are not read"
                                            : "whose scales are multiples of a unit of their block, which no other"
                                                    + " format has"),
                    "quern quantize would do, from the original model if you have it");
        }
        byName.put(name, tensor);
        schemes.put(name.replaceFirst("\\.weight$", ""), scheme);
    }

    private static GgufType type(Gguf.Tensor tensor) {
        GgufType type = GgufType.of(tensor.type());
        if (type == null) {
            throw new IllegalStateException(tensor.name()); // its header was read
        }
        return type;
    }

    private QuernException refused(String reason, String remedy) {
        return new QuernException("Cannot convert %s: %s (%s)".formatted(model.file(), reason, remedy));
    }

    @Override
    public Set<String> names() {
        return new TreeSet<>(byName.keySet());
    }

    private Gguf.Tensor there(String name) {
        Gguf.Tensor tensor = byName.get(name);
        if (tensor == null) {
            throw new IllegalArgumentException("There is no " + name);
        }
        return tensor;
    }

    @Override
    public TensorSpec spec(String name) {
        List<Long> shape = there(name).shape();
        return TensorSpec.of(name, DType.U8, shape.get(0), type(there(name)).bytes(shape.get(1)));
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        Gguf.Tensor tensor = there(name);
        ByteBuffer bytes = tensors.read(tensor.name());
        RowOrder order = model.family().order(tensor.name());
        if (order == RowOrder.SAME) {
            return bytes;
        }
        int row = Math.toIntExact(spec(name).shape().get(1));
        int rows = Math.toIntExact(tensor.shape().get(0));
        ByteBuffer placed = ByteBuffer.allocate(rows * row).order(ByteOrder.LITTLE_ENDIAN);
        for (int r = 0; r < rows; r++) {
            placed.put(bytes.slice(bytes.position() + order.stored(r, rows, model.headDim()) * row, row));
        }
        return placed.flip();
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        ByteBuffer whole = read(name);
        return whole.slice(whole.position() + Math.toIntExact(offset), length);
    }
}
