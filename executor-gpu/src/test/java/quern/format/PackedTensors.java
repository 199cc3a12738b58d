package quern.format;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import quern.scheme.QuantizedLinear;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** What a format packed, to be read back as if it stood in a file. */
public final class PackedTensors implements TensorSource {
    final Map<String, TensorSpec> specs = new LinkedHashMap<>();
    final Map<String, ByteBuffer> bytes = new LinkedHashMap<>();

    public static PackedTensors of(Format format, String linear, QuantizedLinear q) {
        PackedTensors packed = new PackedTensors();
        List<TensorSpec> layout = format.layout(linear, q.outputs(), q.inputs(), q.scheme());
        List<ByteBuffer> buffers = format.pack(q);
        if (layout.size() != buffers.size()) {
            throw new AssertionError(layout.size() + " tensors in the layout, " + buffers.size() + " packed");
        }
        for (int i = 0; i < buffers.size(); i++) {
            packed.specs.put(layout.get(i).name(), layout.get(i));
            packed.bytes.put(layout.get(i).name(), buffers.get(i));
        }
        return packed;
    }

    int word(String name, int index) {
        return bytes.get(name)
                .duplicate()
                .order(java.nio.ByteOrder.LITTLE_ENDIAN)
                .getInt(4 * index);
    }

    @Override
    public Set<String> names() {
        return specs.keySet();
    }

    @Override
    public TensorSpec spec(String name) {
        return specs.get(name);
    }

    @Override
    public ByteBuffer read(String name) {
        return bytes.get(name).duplicate();
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) {
        return bytes.get(name).slice((int) offset, length);
    }
}
