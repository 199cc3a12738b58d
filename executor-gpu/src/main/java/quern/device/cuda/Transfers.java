package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpyDtoDAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyDtoHAsync;
import static jcuda.driver.JCudaDriver.cuMemcpyHtoDAsync;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import quern.tensor.DType;
import quern.tensor.HalfFloats;

/**
 * Copies between the host and a GPU, through memory that the operating system cannot move: only that is copied while something else
 * goes on. What comes in is put into one of a few slots, copied on a stream of its own to the slot's counterpart on the GPU, and from
 * there converted into its matrix as part of the stream of computations. So the copy itself waits for nothing that is being computed:
 * the weights of the next layer arrive while this one is at work.
 */
final class Transfers {
    /** Bytes of a slot: some hundred times what it costs to begin a copy. */
    private static final int BYTES = 8 << 20;

    private static final int INCOMING = 3;
    private static final int OUTGOING = 2;

    /** A place of the host that copies go from or to. */
    private final class Pinned {
        final Pointer pointer;
        final ByteBuffer bytes;
        /** The last copy from or to it is done. */
        final Event copied;

        Pinned(Resources owner) {
            pointer = owner.own(new HostMemory(gpu, BYTES), HostMemory::close).pointer();
            bytes = pointer.getByteBuffer(0, BYTES).order(ByteOrder.LITTLE_ENDIAN);
            copied = owner.own(new Event(gpu), Event::close);
        }
    }

    /** A place of the host and its counterpart on the GPU. */
    private final class Slot {
        final Pinned host;
        final Arena.Block device;
        /** What came last has been taken out of the counterpart. */
        final Event taken;

        Slot(Arena arena, Resources owner) {
            host = new Pinned(owner);
            device = arena.allocate(BYTES);
            taken = owner.own(new Event(gpu), Event::close);
        }
    }

    /** Puts elements [first, first + count) at the beginning of a slot. */
    private interface Source {
        void read(long first, int count, ByteBuffer into);
    }

    /** Takes elements [first, first + count) from the beginning of a slot. */
    private interface Sink {
        void write(ByteBuffer from, long first, int count);
    }

    private final Gpu gpu;
    private final Stream compute;
    private final Stream in;
    private final Stream out;
    private final Kernels kernels;
    private final List<Slot> slots = new ArrayList<>(); // guarded by itself, with next
    private final List<Pinned> places = new ArrayList<>(); // guarded by itself, with computed
    private final Event computed;
    private int next;

    /**
     * @param compute the stream that all matrices are used on
     * @param arena whose end is that of the slots' counterparts
     * @param owner closes all else
     */
    Transfers(Gpu gpu, Stream compute, Kernels kernels, Arena arena, Resources owner) {
        this.gpu = gpu;
        this.compute = compute;
        this.kernels = kernels;
        in = owner.own(new Stream(gpu), Stream::close);
        out = owner.own(new Stream(gpu), Stream::close);
        computed = owner.own(new Event(gpu), Event::close);
        for (int i = 0; i < INCOMING; i++) {
            slots.add(new Slot(arena, owner));
        }
        for (int i = 0; i < OUTGOING; i++) {
            places.add(new Pinned(owner));
        }
    }

    /** Elements as they are stored, little-endian, from the buffer's position on. */
    void upload(ByteBuffer elements, DType from, CudaMatrix to) {
        int start = elements.position();
        int each = from.bytes();
        upload(
                from,
                to.address(),
                to.dtype(),
                to.elements(),
                (first, count, into) -> into.put(0, elements, Math.toIntExact(start + first * each), count * each));
    }

    void upload(float[] values, CudaMatrix to) {
        upload(
                DType.F32,
                to.address(),
                to.dtype(),
                values.length,
                (first, count, into) -> into.asFloatBuffer().put(0, values, Math.toIntExact(first), count));
    }

    void upload(byte[] codes, CudaMatrix to) {
        upload(ByteBuffer.wrap(codes), DType.U8, to);
    }

    /** @param to an address */
    void upload(int[] values, long to) {
        upload(
                DType.I32,
                to,
                DType.I32,
                values.length,
                (first, count, into) -> into.asIntBuffer().put(0, values, Math.toIntExact(first), count));
    }

    private void upload(DType from, long to, DType toType, long elements, Source source) {
        int each = from.bytes();
        int most = BYTES / each;
        for (long first = 0; first < elements; first += most) {
            int count = (int) Math.min(most, elements - first);
            long place = to + first * toType.bytes();
            synchronized (slots) {
                gpu.enter();
                Slot slot = slots.get(next);
                next = (next + 1) % slots.size();
                slot.host.copied.await();
                source.read(first, count, slot.host.bytes);
                in.await(slot.taken);
                Address counterpart = new Address(slot.device.address());
                gpu.check(
                        cuMemcpyHtoDAsync(counterpart, slot.host.pointer, (long) count * each, in.handle()),
                        "cuMemcpyHtoDAsync");
                in.record(slot.host.copied);
                compute.await(slot.host.copied);
                if (from == toType) {
                    copy(slot.device.address(), place, (long) count * each);
                } else {
                    kernels.convert(slot.device.address(), from, place, toType, count);
                }
                compute.record(slot.taken);
            }
        }
    }

    /** From one place of the GPU to another, in the order of the computations. */
    void copy(long from, long to, long bytes) {
        gpu.enter();
        if (bytes > 0) {
            gpu.check(
                    cuMemcpyDtoDAsync(new Address(to), new Address(from), bytes, compute.handle()),
                    "cuMemcpyDtoDAsync");
        }
    }

    /** Bytes from an address on; waits for them. */
    ByteBuffer download(long from, int bytes) {
        ByteBuffer to = ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
        download(from, 1, bytes, (some, first, count) -> to.put((int) first, some, 0, count));
        return to;
    }

    /** Elements as floats; waits for them. */
    void download(CudaMatrix from, float[] to) {
        download(
                from.address(),
                from.dtype().bytes(),
                from.elements(),
                (bytes, first, count) -> HalfFloats.toFloats(
                        bytes.duplicate().order(ByteOrder.LITTLE_ENDIAN),
                        from.dtype(),
                        to,
                        Math.toIntExact(first),
                        count));
    }

    private void download(long from, int each, long elements, Sink sink) {
        int most = BYTES / each;
        long steps = (elements + most - 1) / most;
        synchronized (places) {
            gpu.enter();
            compute.record(computed);
            out.await(computed);
            for (long step = 0; step <= steps; step++) {
                if (step < steps) { // this copy goes on while the one before is read
                    Pinned place = places.get((int) (step % OUTGOING));
                    long bytes = Math.min(most, elements - step * most) * each;
                    gpu.check(
                            cuMemcpyDtoHAsync(
                                    place.pointer, new Address(from + step * most * each), bytes, out.handle()),
                            "cuMemcpyDtoHAsync");
                    out.record(place.copied);
                }
                if (step > 0) {
                    Pinned place = places.get((int) ((step - 1) % OUTGOING));
                    place.copied.await();
                    long first = (step - 1) * most;
                    sink.write(place.bytes, first, (int) Math.min(most, elements - first));
                }
            }
        }
    }
}
