package quern.device.cpu;

import java.nio.ByteBuffer;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.SolveKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** Everything in plain Java and fp32: slow, the same bits on every machine, the reference. */
final class JavaDevice implements Device {
    private final ForwardKernels forward = new JavaForward();
    private final SolveKernels solve = new JavaSolve();

    @Override
    public String name() {
        return "java";
    }

    @Override
    public String type() {
        return "java/f32";
    }

    @Override
    public DType computeType() {
        return DType.F32;
    }

    @Override
    public DeviceMatrix zeros(int rows, int cols, DType dtype) {
        if (dtype == DType.U8) {
            return HeapCodes.zeros(rows, cols);
        }
        checked(dtype);
        return HeapMatrix.zeros(rows, cols);
    }

    @Override
    public DeviceMatrix upload(ByteBuffer elements, DType from, int rows, int cols, DType to) {
        checked(to);
        return new HeapMatrix(new Matrix(rows, cols, Elements.decode(elements, from)));
    }

    @Override
    public DeviceMatrix upload(Matrix values, DType to) {
        checked(to);
        return new HeapMatrix(values.copy());
    }

    @Override
    public DeviceMatrix upload(byte[] codes, int rows, int cols) {
        return HeapCodes.copy(codes, rows, cols);
    }

    @Override
    public byte[] codes(DeviceMatrix matrix) {
        return HeapCodes.own(matrix).values().clone();
    }

    @Override
    public Matrix download(DeviceMatrix matrix) {
        return own(matrix).matrix().copy();
    }

    @Override
    public ForwardKernels forward() {
        return forward;
    }

    @Override
    public SolveKernels solve() {
        return solve;
    }

    static HeapMatrix own(DeviceMatrix matrix) {
        if (!(matrix instanceof HeapMatrix)) {
            throw new IllegalArgumentException("This matrix was made by another device");
        }
        return (HeapMatrix) matrix;
    }

    static void checked(DType type) {
        if (type != DType.F32) {
            throw new IllegalArgumentException("A matrix here is F32, not " + type);
        }
    }

    @Override
    public void close() {
        // Its matrices are the garbage collector's.
    }
}
