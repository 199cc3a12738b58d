package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;

import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.SolveKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Products by oneDNN, factorizations by LAPACK, matrices outside of the heap. */
final class CpuDevice implements Device {
    private final DType computeType;
    private final String type;
    private final NativeMemory memory = new NativeMemory();
    private final OneDnn oneDnn = new OneDnn(memory);
    private final ForwardKernels forward = new OneDnnForward(this);
    private final SolveKernels solve = new LapackSolve(this);

    /** @param computeType BF16 or F32 */
    CpuDevice(DType computeType, String type) {
        this.computeType = computeType;
        this.type = type;
    }

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public String type() {
        return type;
    }

    @Override
    public DType computeType() {
        return computeType;
    }

    OneDnn oneDnn() {
        return oneDnn;
    }

    NativeMemory memory() {
        return memory;
    }

    /** A row-major matrix with undefined content. */
    NativeMatrix allocate(int rows, int cols, DType dtype) {
        return new NativeMatrix(rows, cols, checked(dtype), false, memory.allocate((long) rows * cols * dtype.bytes()));
    }

    @Override
    public DeviceMatrix zeros(int rows, int cols, DType dtype) {
        return dtype == DType.U8 ? HeapCodes.zeros(rows, cols) : floats(rows, cols, dtype);
    }

    /** A matrix of zeros. */
    NativeMatrix floats(int rows, int cols, DType dtype) {
        return new NativeMatrix(rows, cols, checked(dtype), false, memory.zeros((long) rows * cols * dtype.bytes()));
    }

    @Override
    public DeviceMatrix upload(ByteBuffer elements, DType from, int rows, int cols, DType to) {
        NativeMatrix result = allocate(rows, cols, to);
        try {
            long bytes = (long) rows * cols * from.bytes();
            if (elements.remaining() != bytes) {
                throw new IllegalArgumentException("A " + rows + " x " + cols + " matrix of " + from + " has " + bytes
                        + " bytes, not " + elements.remaining());
            }
            if (!elements.isDirect() || (from != DType.F32 && from != DType.BF16)) {
                upload(new Matrix(rows, cols, Elements.decode(elements, from)), result);
            } else {
                try {
                    convert(
                            Address.of(elements).plus(elements.position()),
                            from,
                            result.address(),
                            to,
                            result.elements());
                } finally {
                    // An address keeps nothing alive: a collection meanwhile would free what is being read.
                    Reference.reachabilityFence(elements);
                }
            }
            return result;
        } catch (RuntimeException e) {
            result.close();
            throw e;
        }
    }

    @Override
    public DeviceMatrix upload(Matrix values, DType to) {
        NativeMatrix result = allocate(values.rows(), values.cols(), to);
        upload(values, result);
        return result;
    }

    @Override
    public DeviceMatrix upload(byte[] codes, int rows, int cols) {
        return HeapCodes.copy(codes, rows, cols);
    }

    @Override
    public byte[] codes(DeviceMatrix matrix) {
        return HeapCodes.own(matrix).values().clone();
    }

    private void upload(Matrix values, NativeMatrix result) {
        if (result.dtype() == DType.F32) {
            copyIn(values.values(), result);
            return;
        }
        try (NativeMatrix floats = allocate(values.rows(), values.cols(), DType.F32)) {
            copyIn(values.values(), floats);
            convert(floats, result);
        }
    }

    private static void copyIn(float[] values, NativeMatrix to) {
        for (int row = 0; row < to.rows(); row++) {
            to.write(row, 0, to.cols(), values, row * to.cols());
        }
    }

    @Override
    public Matrix download(DeviceMatrix matrix) {
        NativeMatrix from = own(matrix);
        if (from.dtype() != DType.F32) {
            try (NativeMatrix floats = as(from, DType.F32)) {
                return download(floats);
            }
        }
        Matrix result = Matrix.zeros(from.rows(), from.cols());
        for (int row = 0; row < from.rows(); row++) {
            from.read(row, 0, from.cols(), result.values(), row * from.cols());
        }
        return result;
    }

    /** A copy of another type. */
    NativeMatrix as(NativeMatrix from, DType type) {
        NativeMatrix result = allocate(from.rows(), from.cols(), type);
        convert(from, result);
        return result;
    }

    void convert(NativeMatrix from, NativeMatrix to) {
        convert(from.address(), from.dtype(), to.address(), to.dtype(), from.elements());
    }

    private void convert(Address from, DType fromType, Address to, DType toType, long elements) {
        if (elements == 0) {
            return;
        }
        oneDnn.primitive(new Operations.Reorder(
                        Layout.rows(fromType, 1, elements), Layout.rows(toType, 1, elements), false))
                .run(oneDnn, new Primitive.Arg(DNNL_ARG_SRC, from), new Primitive.Arg(DNNL_ARG_DST, to));
    }

    @Override
    public ForwardKernels forward() {
        return forward;
    }

    @Override
    public SolveKernels solve() {
        return solve;
    }

    /** The matrix as one of ours, by rows. */
    static NativeMatrix own(DeviceMatrix matrix) {
        if (!(matrix instanceof NativeMatrix)) {
            throw new IllegalArgumentException("This matrix was made by another device");
        }
        NativeMatrix own = (NativeMatrix) matrix;
        if (own.prepared()) {
            throw new IllegalArgumentException("A prepared weight is only for linear()");
        }
        return own;
    }

    private DType checked(DType type) {
        if (type != DType.F32 && type != computeType) {
            throw new IllegalArgumentException(
                    "A matrix here is F32, " + computeType + " or, of codes, U8, not " + type);
        }
        return type;
    }

    @Override
    public void close() {
        oneDnn.close();
        memory.close();
    }
}
