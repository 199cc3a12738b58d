package quern.source;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** The tensors of a model as if nothing of it had been quantized: dequantized when they are read, by ranges. */
final class DequantizedTensors implements TensorSource {
    private final TensorSource stored;
    private final Map<String, PackedTensor> packed = new HashMap<>();
    private final Set<String> names;

    DequantizedTensors(TensorSource stored, Packed weights) {
        this.stored = stored;
        Set<String> all = new LinkedHashSet<>(stored.names());
        weights.unused().forEach(all::remove);
        weights.tensors().forEach(tensor -> tensor.parts().forEach(all::remove));
        for (PackedTensor tensor : weights.tensors()) {
            all.add(tensor.spec().name());
            packed.put(tensor.spec().name(), tensor);
        }
        this.names = Collections.unmodifiableSet(all);
    }

    @Override
    public Set<String> names() {
        return names;
    }

    @Override
    public TensorSpec spec(String name) {
        PackedTensor tensor = packed.get(name);
        return tensor == null ? stored.spec(name) : tensor.spec();
    }

    /** Of all that a tensor stands in. */
    long storedBytes(String name) {
        PackedTensor tensor = packed.get(name);
        return tensor == null
                ? stored.spec(name).bytes()
                : tensor.parts().stream()
                        .mapToLong(part -> stored.spec(part).bytes())
                        .sum();
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        PackedTensor tensor = packed.get(name);
        return tensor == null
                ? stored.read(name)
                : tensor.read(0, Math.toIntExact(tensor.spec().bytes()));
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        PackedTensor tensor = packed.get(name);
        return tensor == null ? stored.read(name, offset, length) : tensor.read(offset, length);
    }

    @Override
    public void read(String name, long offset, ByteBuffer into) throws IOException {
        PackedTensor tensor = packed.get(name);
        if (tensor == null) {
            stored.read(name, offset, into);
        } else {
            into.put(tensor.read(offset, into.remaining()));
        }
    }
}
