package quern.device.cpu;

import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_DST;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_SRC;
import static org.bytedeco.dnnl.global.dnnl.DNNL_ARG_WEIGHTS;
import static org.bytedeco.openblas.global.openblas.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas.CblasNonUnit;
import static org.bytedeco.openblas.global.openblas.CblasRight;
import static org.bytedeco.openblas.global.openblas.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas.CblasTrans;
import static org.bytedeco.openblas.global.openblas.CblasUpper;
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
    public DeviceMatrix divide(DeviceMatrix matrix, DeviceMatrix factor) {
        NativeMatrix r = CpuDevice.own(factor);
        NativeMatrix quotient = device.as(CpuDevice.own(matrix), DType.F32);
        for (int transposed : new int[] {CblasTrans, CblasNoTrans}) { // X = (B inv(RT)) inv(R)
            openblas.cblas_strsm(
                    CblasRowMajor,
                    CblasRight,
                    CblasUpper,
                    transposed,
                    CblasNonUnit,
                    quotient.rows(),
                    quotient.cols(),
                    1,
                    r.address().floats(),
                    r.cols(),
                    quotient.address().floats(),
                    quotient.cols());
        }
        return quotient;
    }

    @Override
    void addProduct(FloatRows a, int row, int rows, FloatRows b, int first, FloatRows sum, int col) {
        NativeMatrix left = CpuDevice.own(a);
        NativeMatrix right = CpuDevice.own(b);
        NativeMatrix into = CpuDevice.own(sum);
        Layout result =
                Layout.of(DType.F32, List.of((long) rows, (long) right.cols()), List.of((long) into.cols(), 1L));
        device.oneDnn()
                .primitive(Operations.Product.of(
                                Layout.rows(DType.F32, rows, left.cols()),
                                Layout.rows(DType.F32, left.cols(), right.cols()),
                                result)
                        .accumulating())
                .run(
                        device.oneDnn(),
                        new Primitive.Arg(DNNL_ARG_SRC, left.address(row, 0)),
                        new Primitive.Arg(DNNL_ARG_WEIGHTS, right.address(first, 0)),
                        new Primitive.Arg(DNNL_ARG_DST, into.address(row, col)));
    }
}
