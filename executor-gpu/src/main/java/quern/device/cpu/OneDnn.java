package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.dnnl_cpu;
import static org.bytedeco.dnnl.global.dnnl.dnnl_engine_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_engine_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_primitive_desc_query;
import static org.bytedeco.dnnl.global.dnnl.dnnl_query_impl_info_str;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_create;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_default_flags;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_destroy;
import static org.bytedeco.dnnl.global.dnnl.dnnl_stream_wait;
import static org.bytedeco.dnnl.global.dnnl.dnnl_success;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.bytedeco.dnnl.dnnl_engine;
import org.bytedeco.dnnl.dnnl_primitive_desc;
import org.bytedeco.dnnl.dnnl_stream;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;
import quern.device.DeviceException;

/** One engine of oneDNN, the code it has compiled so far, and streams that nobody is using. */
final class OneDnn implements AutoCloseable {
    /** An operation on fixed shapes: what compiled code is found by. */
    interface Operation {
        Primitive compile(OneDnn oneDnn);
    }

    private final dnnl_engine engine = new dnnl_engine();
    private final NativeMemory memory;
    private final Map<Operation, Primitive> compiled = new ConcurrentHashMap<>();
    private final ConcurrentLinkedQueue<dnnl_stream> idle = new ConcurrentLinkedQueue<>();

    OneDnn(NativeMemory memory) {
        this.memory = memory;
        check(dnnl_engine_create(engine, dnnl_cpu, 0), "create an engine");
    }

    dnnl_engine engine() {
        return engine;
    }

    NativeMemory memory() {
        return memory;
    }

    Primitive primitive(Operation operation) {
        Primitive found = compiled.get(operation);
        if (found != null) {
            return found;
        }
        // oneDNN compiles for the number of threads that it sees.
        OneThread.here();
        return compiled.computeIfAbsent(operation, o -> o.compile(this));
    }

    /** A stream for one run, which its close gives back. A stream serves one thread at a time. */
    Stream stream() {
        dnnl_stream stream = idle.poll();
        if (stream == null) {
            stream = new dnnl_stream();
            check(dnnl_stream_create(stream, engine, dnnl_stream_default_flags), "create a stream");
        }
        return new Stream(stream);
    }

    final class Stream implements AutoCloseable {
        private final dnnl_stream stream;

        private Stream(dnnl_stream stream) {
            this.stream = stream;
        }

        dnnl_stream stream() {
            return stream;
        }

        @Override
        public void close() {
            check(dnnl_stream_wait(stream), "wait for a stream");
            idle.add(stream);
        }
    }

    static void check(int status, String what) {
        if (status != dnnl_success) {
            throw new DeviceException("oneDNN could not " + what + ": status " + status);
        }
    }

    static String implementation(dnnl_primitive_desc primitive) {
        try (PointerPointer<BytePointer> name = new PointerPointer<>(1)) {
            check(dnnl_primitive_desc_query(primitive, dnnl_query_impl_info_str, 0, name), "name an implementation");
            return name.get(BytePointer.class).getString();
        }
    }

    @Override
    public void close() {
        compiled.values().forEach(Primitive::destroy);
        compiled.clear();
        for (dnnl_stream stream = idle.poll(); stream != null; stream = idle.poll()) {
            dnnl_stream_destroy(stream);
        }
        dnnl_engine_destroy(engine);
    }
}
