package quern.model;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.SolveKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/** A device that knows which of its matrices have not been closed. */
final class CountingDevice implements Device {
    private final Device inner;
    private final Set<DeviceMatrix> open = Collections.newSetFromMap(new IdentityHashMap<>());
    private int closedTwice;
    private int most;

    CountingDevice(Device inner) {
        this.inner = inner;
    }

    /** A matrix that tells when it is closed. */
    private final class Counted implements DeviceMatrix {
        private final DeviceMatrix matrix;

        Counted(DeviceMatrix matrix) {
            this.matrix = matrix;
            open.add(this);
            most = Math.max(most, open.size());
        }

        @Override
        public int rows() {
            return matrix.rows();
        }

        @Override
        public int cols() {
            return matrix.cols();
        }

        @Override
        public DType dtype() {
            return matrix.dtype();
        }

        @Override
        public void close() {
            if (!open.remove(this)) {
                closedTwice++;
            }
            matrix.close();
        }
    }

    int open() {
        return open.size();
    }

    /** The most that were open at a time. */
    int most() {
        return most;
    }

    int closedTwice() {
        return closedTwice;
    }

    private static Object unwrapped(Object argument) {
        if (argument instanceof List<?> several) {
            return several.stream().map(CountingDevice::unwrapped).toList();
        }
        return argument instanceof Counted counted ? counted.matrix : argument;
    }

    @Override
    public ForwardKernels forward() {
        return (ForwardKernels) Proxy.newProxyInstance(
                ForwardKernels.class.getClassLoader(), new Class<?>[] {ForwardKernels.class}, (proxy, method, args) -> {
                    Object[] plain =
                            Arrays.stream(args).map(CountingDevice::unwrapped).toArray();
                    try {
                        Object result = method.invoke(inner.forward(), plain);
                        return result instanceof DeviceMatrix m ? new Counted(m) : result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    @Override
    public DeviceMatrix zeros(int rows, int cols, DType dtype) {
        return new Counted(inner.zeros(rows, cols, dtype));
    }

    @Override
    public DeviceMatrix upload(ByteBuffer elements, DType from, int rows, int cols, DType to) {
        return new Counted(inner.upload(elements, from, rows, cols, to));
    }

    @Override
    public DeviceMatrix upload(Matrix values, DType to) {
        return new Counted(inner.upload(values, to));
    }

    @Override
    public DeviceMatrix upload(byte[] codes, int rows, int cols) {
        return new Counted(inner.upload(codes, rows, cols));
    }

    @Override
    public byte[] codes(DeviceMatrix matrix) {
        return inner.codes((DeviceMatrix) unwrapped(matrix));
    }

    @Override
    public Matrix download(DeviceMatrix matrix) {
        return inner.download((DeviceMatrix) unwrapped(matrix));
    }

    @Override
    public String name() {
        return inner.name();
    }

    @Override
    public String type() {
        return inner.type();
    }

    @Override
    public DType computeType() {
        return inner.computeType();
    }

    @Override
    public SolveKernels solve() {
        return inner.solve();
    }

    @Override
    public void close() {
        // The inner device is its opener's.
    }
}
