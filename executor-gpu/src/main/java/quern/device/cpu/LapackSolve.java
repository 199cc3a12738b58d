package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.openblas.global.openblas.LAPACK_COL_MAJOR;

import java.util.List;
import org.bytedeco.openblas.global.openblas;
import quern.device.DeviceException;
import quern.device.DeviceMatrix;
import quern.tensor.DType;

/** The factorizations and products of a solve by LAPACK and oneDNN. */
final class LapackSolve extends HostSolve {
    private final CpuDevice device;

    LapackSolve(CpuDevice device) {
        this.device = device;
    }

    @Override
    FloatRows rows(DeviceMatrix matrix) {
        return CpuDevice.own(matrix);
    }

    @Override
    FloatRows allocate(int rows, int cols) {
        return device.allocate(rows, cols, DType.F32);
    }

    @Override
    FloatRows zeros(int rows, int cols) {
        return device.floats(rows, cols, DType.F32);
    }

    @Override
    public boolean factor(DeviceMatrix hessian) {
        NativeMatrix h = CpuDevice.own(hessian);
        int n = h.rows();
        Triangles.mirrorLower(h);
        // With J the reversal of the order: J H J = L LT, hence H = (J L J) (J L J)T, and J L J is upper.
        Triangles.reverse(h);
        // LAPACK counts by columns: its upper triangle is our lower one.
        int info = openblas.LAPACKE_spotrf(
                LAPACK_COL_MAJOR, (byte) 'U', n, h.address().floats(), n);
        Triangles.reverse(h);
        Triangles.zeroLower(h);
        return info == 0 && Triangles.finiteDiagonal(h);
    }

    @Override
    public float[] inverseDiagonal(DeviceMatrix factor) {
        NativeMatrix r = CpuDevice.own(factor);
        int n = r.rows();
        try (NativeMatrix inverse = device.as(r, DType.F32)) {
            int info = openblas.LAPACKE_strtri(
                    LAPACK_COL_MAJOR,
                    (byte) 'L',
                    (byte) 'N',
                    n,
                    inverse.address().floats(),
                    n);
            if (info != 0) {
                throw new DeviceException("LAPACK could not invert a triangle: info " + info);
            }
            return Triangles.columnSquares(inverse);
        }
    }

    @Override
    public void propagate(DeviceMatrix error, DeviceMatrix factor, int from, int to, DeviceMatrix working) {
        NativeMatrix e = CpuDevice.own(error); // rows x width
        NativeMatrix w = CpuDevice.own(working); // rows x n
        int width = to - from;
        int behind = w.cols() - to;
        if (behind == 0) {
            return;
        }
        try (NativeMatrix update = device.allocate(width, behind, DType.F32)) {
            Triangles.updates(CpuDevice.own(factor), from, to, update);
            device.oneDnn()
                    .primitive(Operations.Product.of(
                                    e.layout(),
                                    update.layout(),
                                    Layout.of(
                                            DType.F32,
                                            List.of((long) w.rows(), (long) behind),
                                            List.of((long) w.cols(), 1L)))
                            .accumulating())
                    .run(
                            device.oneDnn(),
                            new Primitive.Arg(DNNL_ARG_SRC, e.address()),
                            new Primitive.Arg(DNNL_ARG_WEIGHTS, update.address()),
                            new Primitive.Arg(DNNL_ARG_DST, w.address(0, to)));
        }
    }

    @Override
    public void addProduct(DeviceMatrix a, DeviceMatrix b, int from, int to, DeviceMatrix sum) {
        NativeMatrix left = CpuDevice.own(a);
        NativeMatrix right = CpuDevice.own(b);
        NativeMatrix into = CpuDevice.own(sum);
        device.oneDnn()
                .primitive(Operations.Product.of(
                                left.layout(), Layout.rows(DType.F32, to - from, right.cols()), into.layout())
                        .accumulating())
                .run(
                        device.oneDnn(),
                        new Primitive.Arg(DNNL_ARG_SRC, left.address()),
                        new Primitive.Arg(DNNL_ARG_WEIGHTS, right.address(from, 0)),
                        new Primitive.Arg(DNNL_ARG_DST, into.address()));
    }
}
