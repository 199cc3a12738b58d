package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuMemsetD8Async;

import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.device.Device;
import quern.device.DeviceMatrix;
import quern.device.ForwardKernels;
import quern.device.SolveKernels;
import quern.tensor.DType;
import quern.tensor.Matrix;

/**
 * A GPU. Whatever thread asks, all is computed on one stream, in the order in which it was asked for; calls return before it is
 * done, but for those that give something to the host. Proven on kernels that run on the CPU; not yet run on a GPU.
 */
final class CudaDevice implements Device {
    private static final Logger LOG = LoggerFactory.getLogger(CudaDevice.class);

    private final Gpu gpu;
    private final DType computeType;
    private final String type;
    private final Resources opened;
    private final Arena arena;
    private final Stream stream;
    private final Kernels kernels;
    private final Transfers transfers;
    private final Products products;
    private final ForwardKernels forward;

    /** @param computeType BF16 or F32 */
    static CudaDevice open(Gpu gpu, DType computeType) {
        Resources opened = new Resources();
        try {
            return new CudaDevice(gpu, computeType, opened);
        } catch (RuntimeException e) {
            opened.close();
            throw e;
        }
    }

    private CudaDevice(Gpu gpu, DType computeType, Resources opened) {
        this.gpu = gpu;
        this.computeType = computeType;
        this.opened = opened;
        gpu.enter();
        arena = opened.own(gpu.memory().arena(), gpu.memory()::close);
        stream = opened.own(new Stream(gpu), Stream::close);
        kernels = new Kernels(gpu.launcher(), stream);
        products = opened.own(new Products(gpu, stream, arena), Products::close);
        transfers = new Transfers(gpu, stream, kernels, arena, opened);
        forward = new CudaForward(this);
        type = String.join(
                "/",
                "cuda",
                computeType.name().toLowerCase(Locale.ROOT),
                gpu.name(),
                gpu.architecture(),
                gpu.multiprocessors() + "-sm",
                "driver-" + Driver.version(),
                products.versions());
        LOG.info("Computing on {}", type);
    }

    @Override
    public String name() {
        return "cuda";
    }

    @Override
    public String type() {
        return type;
    }

    @Override
    public DType computeType() {
        return computeType;
    }

    Kernels kernels() {
        return kernels;
    }

    Products products() {
        return products;
    }

    Transfers transfers() {
        return transfers;
    }

    Arena arena() {
        return arena;
    }

    /** A matrix with undefined content. */
    CudaMatrix allocate(int rows, int cols, DType dtype) {
        checked(dtype);
        return new CudaMatrix(this, rows, cols, dtype, arena.allocate((long) rows * cols * dtype.bytes()));
    }

    /** A matrix that is there once its content is asked for without an error. */
    CudaMatrix filled(int rows, int cols, DType dtype, Consumer<CudaMatrix> content) {
        CudaMatrix matrix = allocate(rows, cols, dtype);
        try {
            content.accept(matrix);
            return matrix;
        } catch (RuntimeException e) {
            matrix.close();
            throw e;
        }
    }

    @Override
    public DeviceMatrix zeros(int rows, int cols, DType dtype) {
        return filled(rows, cols, dtype, zeros -> {
            gpu.enter();
            if (zeros.elements() > 0) {
                gpu.check(
                        cuMemsetD8Async(new Address(zeros.address()), (byte) 0, zeros.bytes(), stream.handle()),
                        "cuMemsetD8Async");
            }
        });
    }

    @Override
    public DeviceMatrix upload(ByteBuffer elements, DType from, int rows, int cols, DType to) {
        long bytes = (long) rows * cols * from.bytes();
        if (elements.remaining() != bytes) {
            throw new IllegalArgumentException("A " + rows + " x " + cols + " matrix of " + from + " has " + bytes
                    + " bytes, not " + elements.remaining());
        }
        return filled(rows, cols, to, matrix -> transfers.upload(elements, from, matrix));
    }

    @Override
    public DeviceMatrix upload(Matrix values, DType to) {
        return filled(values.rows(), values.cols(), to, matrix -> transfers.upload(values.values(), matrix));
    }

    @Override
    public Matrix download(DeviceMatrix matrix) {
        CudaMatrix from = own(matrix);
        Matrix result = Matrix.zeros(from.rows(), from.cols());
        transfers.download(from, result.values());
        return result;
    }

    /** A copy of another type, or of the same. */
    CudaMatrix as(CudaMatrix from, DType to) {
        return filled(from.rows(), from.cols(), to, copy -> {
            if (from.dtype() == to) {
                transfers.copy(from.address(), copy.address(), from.bytes());
            } else {
                kernels.convert(from.address(), from.dtype(), copy.address(), to, from.elements());
            }
        });
    }

    /** Whole numbers for a kernel; whoever asks closes them when it is started. */
    Arena.Block numbers(int[] values) {
        Arena.Block block = arena.allocate((long) values.length * Integer.BYTES);
        transfers.upload(values, block.address());
        return block;
    }

    @Override
    public ForwardKernels forward() {
        return forward;
    }

    @Override
    public SolveKernels solve() {
        throw new UnsupportedOperationException("The solve on a GPU is not written yet");
    }

    CudaMatrix own(DeviceMatrix matrix) {
        if (!(matrix instanceof CudaMatrix) || !((CudaMatrix) matrix).isOf(this)) {
            throw new IllegalArgumentException("This matrix was made by another device");
        }
        return (CudaMatrix) matrix;
    }

    private void checked(DType type) {
        if (type != DType.F32 && type != computeType) {
            throw new IllegalArgumentException("A matrix here is F32 or " + computeType + ", not " + type);
        }
    }

    @Override
    public void close() {
        if (!gpu.isLost()) {
            stream.settle();
        }
        opened.close();
    }
}
