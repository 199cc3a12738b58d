package quern.transform;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.TensorSource;
import quern.tensor.TensorSpec;

/** Tensors as F32, so that what is edited is not rounded to less. */
record WideTensors(TensorSource stored) implements TensorSource {
    @Override
    public Set<String> names() {
        return stored.names();
    }

    @Override
    public TensorSpec spec(String name) {
        return new TensorSpec(name, DType.F32, stored.spec(name).shape());
    }

    @Override
    public ByteBuffer read(String name) throws IOException {
        TensorSpec spec = stored.spec(name);
        float[] values = HalfFloats.toFloats(stored.read(name), spec.dtype(), Math.toIntExact(spec.elements()));
        return HalfFloats.fromFloats(values, DType.F32);
    }

    @Override
    public ByteBuffer read(String name, long offset, int length) throws IOException {
        return read(name).slice(Math.toIntExact(offset), length).order(ByteOrder.LITTLE_ENDIAN);
    }
}
