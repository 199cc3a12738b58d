package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SCRATCHPAD;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_clone;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_desc_get_size;
import static org.bytedeco.dnnl.global.dnnl.dnnl_memory_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_query_md;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_execute;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_scratchpad_md;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.dnnl.dnnl_exec_arg_t;
import org.bytedeco.dnnl.dnnl_memory;
import org.bytedeco.dnnl.dnnl_memory_desc;
import org.bytedeco.dnnl.dnnl_primitive;
import org.bytedeco.dnnl.dnnl_primitive_desc;

/**
 * Compiled code for one operation on fixed shapes. Several threads may run it at once: what a run changes is its own.
 */
final class Primitive {
    /**
     * Room behind the scratch memory that oneDNN asks for: 3.11 writes up to a kilobyte beyond it where a product of one row in
     * fp32 over more than 1024 inputs is added to what is there.
     */
    private static final int BEYOND = 4096;

    /** An argument of an operation, by oneDNN's number. */
    record Arg(int number, Address address) {}

    private final dnnl_primitive primitive = new dnnl_primitive();
    private final Map<Integer, dnnl_memory_desc> arguments = new LinkedHashMap<>();
    private final String implementation;

    /** Takes the descriptors over and releases {@code compiled}. */
    Primitive(String what, dnnl_primitive_desc compiled, Map<Integer, dnnl_memory_desc> arguments) {
        OneDnn.check(dnnl_primitive_create(primitive, compiled), what);
        this.arguments.putAll(arguments);
        dnnl_memory_desc scratch = new dnnl_memory_desc();
        OneDnn.check(
                dnnl_memory_desc_clone(scratch, dnnl_primitive_desc_query_md(compiled, dnnl_query_scratchpad_md, 0)),
                what);
        this.arguments.put(DNNL_ARG_SCRATCHPAD, scratch);
        implementation = OneDnn.implementation(compiled);
        dnnl_primitive_desc_destroy(compiled);
    }

    /** oneDNN's name of the code that was chosen. */
    String implementation() {
        return implementation;
    }

    long bytes(int argument) {
        return dnnl_memory_desc_get_size(arguments.get(argument));
    }

    void run(OneDnn oneDnn, Arg... given) {
        OneThread.here();
        long scratchBytes = bytes(DNNL_ARG_SCRATCHPAD);
        try (NativeMemory.Block scratch = oneDnn.memory().allocate(scratchBytes + BEYOND);
                dnnl_exec_arg_t list = new dnnl_exec_arg_t(given.length + 1);
                OneDnn.Stream stream = oneDnn.stream()) {
            dnnl_memory[] memories = new dnnl_memory[given.length + 1];
            try {
                for (int i = 0; i <= given.length; i++) {
                    Arg arg = i < given.length ? given[i] : new Arg(DNNL_ARG_SCRATCHPAD, scratch.address());
                    memories[i] = new dnnl_memory();
                    OneDnn.check(
                            dnnl_memory_create(
                                    memories[i], arguments.get(arg.number()), oneDnn.engine(), arg.address()),
                            "pass an argument");
                    list.position(i).arg(arg.number()).memory(memories[i]);
                }
                list.position(0);
                OneDnn.check(
                        dnnl_primitive_execute(primitive, stream.stream(), memories.length, list), "run a primitive");
            } finally {
                for (dnnl_memory memory : memories) {
                    if (memory != null && !memory.isNull()) {
                        dnnl_memory_destroy(memory);
                    }
                }
            }
        }
    }

    void destroy() {
        dnnl_primitive_destroy(primitive);
        arguments.values().forEach(d -> dnnl_memory_desc_destroy(d));
    }
}
