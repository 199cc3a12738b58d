package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC_1;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_add;
import static org.bytedeco.dnnl.global.dnnl.dnnl_binary_mul;
import static org.bytedeco.dnnl.global.dnnl.dnnl_eltwise_linear;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_append_binary;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_append_eltwise;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_append_sum;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_post_ops_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_post_ops;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_attr_set_scratchpad_mode;
import static org.bytedeco.dnnl.global.dnnl.dnnl_scratchpad_mode_user;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_post_ops;
import org.bytedeco.dnnl.dnnl_primitive_attr;

/** What happens to a result before it is stored; and scratch memory by the caller, without which code is not reentrant. */
final class PostOps implements AutoCloseable {
    private final dnnl_post_ops ops = new dnnl_post_ops();
    private final dnnl_primitive_attr attributes = new dnnl_primitive_attr();
    private final Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
    private int length;

    PostOps() {
        OneDnn.check(dnnl_post_ops_create(ops), "create post-ops");
        OneDnn.check(dnnl_primitive_attr_create(attributes), "create attributes");
        OneDnn.check(
                dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "set scratch memory");
    }

    /** result + what stands at the destination. */
    PostOps addDestination() {
        OneDnn.check(dnnl_post_ops_append_sum(ops, 1, 0, 0), "append a sum");
        length++;
        return this;
    }

    PostOps scale(float factor) {
        return apply(dnnl_eltwise_linear, factor);
    }

    PostOps apply(int function, float alpha) {
        return apply(function, alpha, 0);
    }

    /** function(result). */
    PostOps apply(int function, float alpha, float beta) {
        OneDnn.check(dnnl_post_ops_append_eltwise(ops, function, alpha, beta), "append a function");
        length++;
        return this;
    }

    PostOps add(Layout other) {
        return binary(dnnl_binary_add, other);
    }

    PostOps multiply(Layout other) {
        return binary(dnnl_binary_mul, other);
    }

    private PostOps binary(int kind, Layout other) {
        dnnl_memory_desc descriptor = other.descriptor();
        OneDnn.check(dnnl_post_ops_append_binary(ops, kind, descriptor), "append a binary operation");
        arguments.put(argument(length), descriptor);
        length++;
        return this;
    }

    /** The number of the operand of the post-op at {@code index}. */
    static int argument(int index) {
        return DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE * (index + 1) | DNNL_ARG_SRC_1;
    }

    /** Descriptors of the operands; the primitive takes them over. */
    Map<Integer, dnnl_memory_desc> arguments() {
        return arguments;
    }

    dnnl_primitive_attr attributes() {
        OneDnn.check(dnnl_primitive_attr_set_post_ops(attributes, ops), "set post-ops");
        return attributes;
    }

    @Override
    public void close() {
        dnnl_post_ops_destroy(ops);
        dnnl_primitive_attr_destroy(attributes);
    }
}
