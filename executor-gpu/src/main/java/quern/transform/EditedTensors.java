package quern.transform;

import java.io.IOException;
import java.lang.ref.SoftReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/**
 * A model's tensors with edits, made when they are read: by rows, or as a whole where an edit mixes these. Arithmetic is in floats, and
 * the result is rounded to the type that the tensor is stored in.
 */
final class EditedTensors implements TensorSource {
    private final TensorSource stored;
    private final Map<String, List<Edit>> edits;
    private final Map<String, String> copies;
    private final Set<String> names;
    private final Map<String, SoftReference<ByteBuffer>> wholes = new ConcurrentHashMap<>();

    /**
     * @param edits by name
     * @param copies for a name that is new that of the tensor that it begins as
     */
    EditedTensors(TensorSource stored, Map<String, List<Edit>> edits, Map<String, String> copies) {
        this.stored = stored;
        this.edits = new LinkedHashMap<>(edits);
        this.copies = Map.copyOf(copies);
        Set<String> all = new LinkedHashSet<>(stored.names());
        all.addAll(copies.keySet());
        this.names = Collections.unmodifiableSet(all);
    }

    @Override
    public Set<String> names() {
        return names;
    }

    @Override
    public TensorSpec spec(String name) {
        TensorSpec spec = stored.spec(origin(name));
        return new TensorSpec(name, spec.dtype(), spec.shape());
    }

    private String origin(String name) {
        return copies.getOrDefault(name, name);
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        return read(name, 0, Math.toIntExact(spec(name).bytes()));
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        List<Edit> own = edits.getOrDefault(name, List.of());
        TensorSpec spec = spec(name);
        if (own.isEmpty()) {
            return stored.read(origin(name), offset, length);
        }
        if (offset < 0 || length < 0 || offset > spec.bytes() - length) {
            throw new IndexOutOfBoundsException(
                    length + " bytes from " + offset + " of the " + spec.bytes() + " of tensor '" + name + "'");
        }
        return own.stream().anyMatch(Edit::mixesRows)
                ? whole(spec, own, offset, length)
                : rows(spec, own, offset, length);
    }

    /** Who reads a tensor in slices reads them one after the other: it is kept between them, as long as there is memory for it. */
    private ByteBuffer whole(TensorSpec spec, List<Edit> own, long offset, int length) throws IOException {
        int size = Math.toIntExact(spec.bytes());
        SoftReference<ByteBuffer> kept = wholes.remove(spec.name());
        ByteBuffer whole = kept == null ? null : kept.get();
        if (whole == null) {
            whole = rows(spec, own, 0, size);
        }
        if (offset + length < size) {
            wholes.put(spec.name(), new SoftReference<>(whole));
        }
        return whole.slice(Math.toIntExact(offset), length).order(ByteOrder.LITTLE_ENDIAN);
    }

    private ByteBuffer rows(TensorSpec spec, List<Edit> own, long offset, int length) throws IOException {
        int cols = Math.toIntExact(spec.shape().get(spec.shape().size() - 1));
        int row = cols * spec.dtype().bytes();
        int first = Math.toIntExact(offset / row);
        int end = Math.toIntExact((offset + length + row - 1) / row);
        int rows = end - first;
        ByteBuffer bytes = stored.read(origin(spec.name()), (long) first * row, Math.multiplyExact(rows, row));
        float[] values = HalfFloats.toFloats(bytes, spec.dtype(), Math.multiplyExact(rows, cols));
        for (Edit edit : own) {
            edit.action().apply(values, rows, cols, first);
        }
        return HalfFloats.fromFloats(values, spec.dtype())
                .slice(Math.toIntExact(offset - (long) first * row), length)
                .order(ByteOrder.LITTLE_ENDIAN);
    }
}
