package quern.tensor;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;

/** Name, element type and shape of a tensor: what a file's header says of it. */
public record TensorSpec(String name, DType dtype, List<Long> shape) implements Serializable {
    public TensorSpec {
        shape = List.copyOf(shape);
    }

    public static TensorSpec of(String name, DType dtype, long... shape) {
        return new TensorSpec(name, dtype, Arrays.stream(shape).boxed().toList());
    }

    /** Number of elements; {@link ArithmeticException} when it does not fit a long. */
    public long elements() {
        long n = 1;
        for (long d : shape) {
            n = Math.multiplyExact(n, d);
        }
        return n;
    }

    public long bytes() {
        return Math.multiplyExact(elements(), (long) dtype.bytes());
    }
}
