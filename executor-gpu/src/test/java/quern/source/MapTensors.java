package quern.source;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import quern.tensor.DType;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Tensors of a test, as if they stood in a file. */
final class MapTensors implements TensorSource {
    private final Map<String, TensorSpec> specs = new LinkedHashMap<>();
    private final Map<String, byte[]> bytes = new LinkedHashMap<>();

    MapTensors put(String name, DType type, byte[] values, long... shape) {
        TensorSpec spec = TensorSpec.of(name, type, shape);
        if (spec.bytes() != values.length) {
            throw new AssertionError(spec + " has " + values.length + " bytes");
        }
        specs.put(name, spec);
        bytes.put(name, values);
        return this;
    }

    MapTensors ints(String name, long rows, long cols, int... values) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asIntBuffer().put(values);
        return put(name, DType.I32, buffer.array(), rows, cols);
    }

    MapTensors floats(String name, long rows, long cols, float... values) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(values);
        return put(name, DType.F32, buffer.array(), rows, cols);
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
        return read(name, 0, bytes.get(name).length);
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) {
        return ByteBuffer.allocateDirect(length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put(bytes.get(name), (int) offset, length)
                .flip();
    }
}
