package quern.device;

import java.nio.ByteBuffer;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * What computes. Safe for concurrent use by several tasks; every result is the same whatever the number of threads, since
 * one call is one thread's work.
 */
public interface Device extends AutoCloseable {
    /** The name by which it is registered: {@code cpu}, {@code cuda}, {@code java}. */
    String name();

    /**
     * What the bits of its results depend on: instruction set and library versions. Two devices of the same type give the
     * same bytes; it stands in the manifest.
     */
    String type();

    /** The type of operands of matrix products: BF16 with fp32 accumulation, or F32. */
    DType computeType();

    /** Bytes of memory of its own that its matrices may take; 0 where that is the host's. */
    default long ownMemory() {
        return 0;
    }

    /** A matrix of zeros: F32, the compute type, or U8 for codes. */
    DeviceMatrix zeros(int rows, int cols, DType dtype);

    /** Copies rows x cols little-endian elements of type {@code from} and rounds them to {@code to}. */
    DeviceMatrix upload(ByteBuffer elements, DType from, int rows, int cols, DType to);

    /** Copies a heap matrix and rounds it to {@code to}. */
    DeviceMatrix upload(Matrix values, DType to);

    /** Copies codes, rows x cols. */
    DeviceMatrix upload(byte[] codes, int rows, int cols);

    /** All values as floats. */
    Matrix download(DeviceMatrix matrix);

    /** All codes of a matrix of them, row by row. */
    byte[] codes(DeviceMatrix matrix);

    ForwardKernels forward();

    SolveKernels solve();

    @Override
    void close();
}
