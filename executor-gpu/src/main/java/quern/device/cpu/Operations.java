package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.*;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.jspecify.annotations.Nullable;
import quern.tensor.DType;

/** The operations of oneDNN that the CPU device is made of. */
final class Operations {
    private Operations() {}

    /** dst = src, with dst's type and order; a matrix goes into the prepared order if {@code prepared}. */
    record Reorder(Layout src, Layout dst, boolean prepared) implements OneDnn.Operation {
        @Override
        public Primitive compile(OneDnn oneDnn) {
            Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
            arguments.put(DNNL_ARG_SRC, src.descriptor());
            arguments.put(
                    DNNL_ARG_DST,
                    prepared
                            ? preparedWeight(
                                    oneDnn,
                                    dst.type(),
                                    dst.dims().get(0),
                                    dst.dims().get(1))
                            : dst.descriptor());
            dnnl_primitive_desc compiled = new dnnl_primitive_desc();
            try (PostOps ops = new PostOps()) {
                OneDnn.check(
                        dnnl_reorder_primitive_desc_create(
                                compiled,
                                arguments.get(DNNL_ARG_SRC),
                                oneDnn.engine(),
                                arguments.get(DNNL_ARG_DST),
                                oneDnn.engine(),
                                ops.attributes()),
                        "compile " + this);
            }
            return new Primitive(toString(), compiled, arguments);
        }
    }

    /**
     * dst = post-ops(src weights + bias), each of the last two dimensions; {@code weights} in the prepared order if
     * {@code prepared}. Post-ops: times {@code scale} unless 1, bent to below {@code cap} unless 0, plus {@code mask} if
     * given, plus dst if {@code accumulate}.
     */
    record Product(
            Layout src,
            Layout weights,
            Layout dst,
            boolean prepared,
            boolean bias,
            float scale,
            float cap,
            @Nullable Layout mask,
            boolean accumulate)
            implements OneDnn.Operation {
        static Product of(Layout src, Layout weights, Layout dst) {
            return new Product(src, weights, dst, false, false, 1, 0, null, false);
        }

        Product accumulating() {
            return new Product(src, weights, dst, prepared, bias, scale, cap, mask, true);
        }

        /** The argument that the mask is passed as. */
        int maskArgument() {
            return PostOps.argument((scale == 1 ? 0 : 1) + (cap == 0 ? 0 : 3));
        }

        @Override
        public Primitive compile(OneDnn oneDnn) {
            Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
            arguments.put(DNNL_ARG_SRC, src.descriptor());
            arguments.put(
                    DNNL_ARG_WEIGHTS,
                    prepared
                            ? preparedWeight(
                                    oneDnn,
                                    weights.type(),
                                    weights.dims().get(0),
                                    weights.dims().get(1))
                            : weights.descriptor());
            if (bias) {
                arguments.put(
                        DNNL_ARG_BIAS,
                        Layout.rows(DType.F32, 1, dst.dims().get(1)).descriptor());
            }
            arguments.put(DNNL_ARG_DST, dst.descriptor());
            dnnl_primitive_desc compiled = new dnnl_primitive_desc();
            try (PostOps ops = new PostOps()) {
                if (scale != 1) {
                    ops.scale(scale);
                }
                if (cap != 0) {
                    ops.scale(1 / cap).apply(dnnl_eltwise_tanh, 0).scale(cap);
                }
                if (mask != null) {
                    ops.add(mask);
                }
                if (accumulate) {
                    ops.addDestination();
                }
                arguments.putAll(ops.arguments());
                OneDnn.check(
                        dnnl_matmul_primitive_desc_create(
                                compiled,
                                oneDnn.engine(),
                                arguments.get(DNNL_ARG_SRC),
                                arguments.get(DNNL_ARG_WEIGHTS),
                                arguments.get(DNNL_ARG_BIAS),
                                arguments.get(DNNL_ARG_DST),
                                ops.attributes()),
                        "compile " + this);
            }
            return new Primitive(toString(), compiled, arguments);
        }
    }

    /** The order that products with an inputs x outputs weight want it in. Owned by the caller. */
    private static dnnl_memory_desc preparedWeight(OneDnn oneDnn, DType type, long inputs, long outputs) {
        // Any number of tokens may come; asked for with many, since few take no time.
        long tokens = 1024;
        dnnl_memory_desc src = Layout.rows(type, tokens, inputs).descriptor();
        dnnl_memory_desc dst = Layout.rows(DType.F32, tokens, outputs).descriptor();
        dnnl_memory_desc any = new dnnl_memory_desc();
        dnnl_memory_desc chosen = new dnnl_memory_desc();
        dnnl_primitive_desc compiled = new dnnl_primitive_desc();
        try (PostOps ops = new PostOps()) {
            OneDnn.check(
                    dnnl_memory_desc_create_with_tag(
                            any, 2, new long[] {inputs, outputs}, Layout.code(type), dnnl_format_tag_any),
                    "describe a weight");
            OneDnn.check(
                    dnnl_matmul_primitive_desc_create(compiled, oneDnn.engine(), src, any, null, dst, ops.attributes()),
                    "choose the order of a weight");
            OneDnn.check(
                    dnnl_memory_desc_clone(chosen, dnnl_primitive_desc_query_md(compiled, dnnl_query_weights_md, 0)),
                    "copy a descriptor");
            dnnl_primitive_desc_destroy(compiled);
        } finally {
            List.of(src, dst, any).forEach(d -> dnnl_memory_desc_destroy(d));
        }
        return chosen;
    }

    /** Softmax over the last dimension. */
    record Softmax(Layout src, Layout dst) implements OneDnn.Operation {
        @Override
        public Primitive compile(OneDnn oneDnn) {
            Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
            arguments.put(DNNL_ARG_SRC, src.descriptor());
            arguments.put(DNNL_ARG_DST, dst.descriptor());
            dnnl_primitive_desc compiled = new dnnl_primitive_desc();
            try (PostOps ops = new PostOps()) {
                OneDnn.check(
                        dnnl_softmax_forward_primitive_desc_create(
                                compiled,
                                oneDnn.engine(),
                                dnnl_forward_inference,
                                dnnl_softmax_accurate,
                                arguments.get(DNNL_ARG_SRC),
                                arguments.get(DNNL_ARG_DST),
                                src.dims().size() - 1,
                                ops.attributes()),
                        "compile " + this);
            }
            return new Primitive(toString(), compiled, arguments);
        }
    }

    /** A function of one number, by oneDNN's number for it. */
    record Function(int kind, float alpha, float beta) {}

    /**
     * dst = the functions of src, one after the other, times a factor of layout {@code factor} if given. Written as src + 0 with post-ops: oneDNN's
     * code for element-wise functions knows no factor, its code for binary operations does.
     */
    record Elementwise(
            List<Function> functions,
            Layout src,
            Layout dst,
            @Nullable Layout factor) implements OneDnn.Operation {
        /** The argument that the factor is passed as behind so many functions. */
        static int factorArgument(int functions) {
            return PostOps.argument(functions);
        }

        @Override
        public Primitive compile(OneDnn oneDnn) {
            try (PostOps ops = new PostOps()) {
                functions.forEach(f -> ops.apply(f.kind(), f.alpha(), f.beta()));
                if (factor != null) {
                    ops.multiply(factor);
                }
                return binary(oneDnn, dnnl_binary_add, src, Layout.rows(DType.F32, 1, 1), dst, ops, this);
            }
        }
    }

    private static Primitive binary(OneDnn oneDnn, int kind, Layout a, Layout b, Layout dst, PostOps ops, Record what) {
        Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>(ops.arguments());
        arguments.put(DNNL_ARG_SRC_0, a.descriptor());
        arguments.put(DNNL_ARG_SRC_1, b.descriptor());
        arguments.put(DNNL_ARG_DST, dst.descriptor());
        dnnl_primitive_desc compiled = new dnnl_primitive_desc();
        OneDnn.check(
                dnnl_binary_primitive_desc_create(
                        compiled,
                        oneDnn.engine(),
                        kind,
                        arguments.get(DNNL_ARG_SRC_0),
                        arguments.get(DNNL_ARG_SRC_1),
                        arguments.get(DNNL_ARG_DST),
                        ops.attributes()),
                "compile " + what);
        return new Primitive(what.toString(), compiled, arguments);
    }

    /** dst = a op b, where b may be a single row. */
    record Binary(int kind, Layout a, Layout b, Layout dst) implements OneDnn.Operation {
        @Override
        public Primitive compile(OneDnn oneDnn) {
            try (PostOps ops = new PostOps()) {
                return binary(oneDnn, kind, a, b, dst, ops, this);
            }
        }
    }

    /**
     * Over the last dimension dst = src / sqrt(mean(src^2) + eps) * scale if {@code rms}, else
     * (src - mean) / sqrt(variance + eps) * scale, + shift if {@code shift}; scale and shift are F32, as long as that.
     */
    record Normalization(Layout src, Layout dst, float eps, boolean rms, boolean shift) implements OneDnn.Operation {
        @Override
        public Primitive compile(OneDnn oneDnn) {
            Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
            arguments.put(DNNL_ARG_SRC, src.descriptor());
            arguments.put(DNNL_ARG_DST, dst.descriptor());
            Layout row = Layout.of(DType.F32, List.of(src.dims().get(src.dims().size() - 1)), List.of(1L));
            arguments.put(DNNL_ARG_SCALE, row.descriptor());
            if (shift) {
                arguments.put(DNNL_ARG_SHIFT, row.descriptor());
            }
            dnnl_primitive_desc compiled = new dnnl_primitive_desc();
            try (PostOps ops = new PostOps()) {
                OneDnn.check(
                        dnnl_layer_normalization_forward_primitive_desc_create(
                                compiled,
                                oneDnn.engine(),
                                dnnl_forward_inference,
                                arguments.get(DNNL_ARG_SRC),
                                arguments.get(DNNL_ARG_DST),
                                null,
                                eps,
                                dnnl_use_scale | (rms ? dnnl_rms_norm : 0) | (shift ? dnnl_use_shift : 0),
                                ops.attributes()),
                        "compile " + this);
            }
            return new Primitive(toString(), compiled, arguments);
        }
    }
}
