package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.dnnl_bf16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_f16;
import static org.bytedeco.dnnl.global.dnnl.dnnl_f32;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_create_with_strides;

import java.util.List;
import org.bytedeco.dnnl.dnnl_memory_desc;
import quern.tensor.DType;

/**
 * How the elements of a tensor lie in memory.
 *
 * @param dims its shape
 * @param strides for each dimension, how many elements lie between neighbours
 */
record Layout(DType type, List<Long> dims, List<Long> strides) {
    static Layout of(DType type, List<Long> dims, List<Long> strides) {
        return new Layout(type, dims, strides);
    }

    static Layout rows(DType type, long rows, long cols) {
        return of(type, List.of(rows, cols), List.of(cols, 1L));
    }

    Layout transposed() {
        return of(type, List.of(dims.get(1), dims.get(0)), List.of(strides.get(1), strides.get(0)));
    }

    long elements() {
        long n = 1;
        for (long d : dims) {
            n *= d;
        }
        return n;
    }

    /** Owned by the caller. */
    dnnl_memory_desc descriptor() {
        dnnl_memory_desc descriptor = new dnnl_memory_desc();
        OneDnn.check(
                dnnl_memory_desc_create_with_strides(descriptor, dims.size(), array(dims), code(type), array(strides)),
                "describe " + this);
        return descriptor;
    }

    static long[] array(List<Long> values) {
        return values.stream().mapToLong(Long::longValue).toArray();
    }

    static int code(DType type) {
        switch (type) {
            case F32:
                return dnnl_f32;
            case BF16:
                return dnnl_bf16;
            case F16:
                return dnnl_f16;
            default:
                throw new IllegalArgumentException("oneDNN does not compute with " + type + " here");
        }
    }
}
