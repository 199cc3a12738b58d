package quern.device.cpu;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Pointer;

/** A place in native memory that somebody else owns. */
final class Address extends Pointer {
    private Address(long address) {
        this.address = address;
    }

    static Address of(long address) {
        return new Address(address);
    }

    static Address of(Buffer direct) {
        return new Address(getDirectBufferAddress(direct));
    }

    Address plus(long bytes) {
        return new Address(address + bytes);
    }

    /** Copies so many bytes from here to there. */
    void copyTo(Address there, long bytes) {
        Pointer.memcpy(there, this, bytes);
    }

    /** The same place for functions that want floats. */
    FloatPointer floats() {
        return new FloatPointer(this);
    }

    /** A view of {@code count} floats from here. */
    FloatBuffer floats(int count) {
        return bytes(4L * count).asFloatBuffer();
    }

    private ByteBuffer bytes(long count) {
        capacity(count);
        return asByteBuffer().order(ByteOrder.nativeOrder());
    }
}
