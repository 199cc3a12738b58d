package quern.device.cuda;

import static jcuda.driver.JCudaDriver.cuMemcpy2DAsync;
import static jcuda.driver.JCudaDriver.cuMemsetD8Async;

import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.function.Consumer;
import jcuda.driver.CUDA_MEMCPY2D;
import jcuda.driver.CUmemorytype;
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
    private final SolveKernels solve;

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
        solve = new CudaSolve(this);
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

    @Override
    public long ownMemory() {
        return gpu.memory().limit();
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
        return filled(rows, cols, dtype, zeros -> clear(zeros.address(), zeros.bytes()));
    }

    private void clear(long address, long bytes) {
        gpu.enter();
        if (bytes > 0) {
            gpu.check(cuMemsetD8Async(new Address(address), (byte) 0, bytes, stream.handle()), "cuMemsetD8Async");
        }
    }

    /**
     * Copies runs of bytes, in the order of the computations.
     *
     * @param bytes of a run
     * @param fromPitch bytes from one run to the next
     */
    void copyRuns(long from, long fromPitch, long to, long toPitch, long bytes, int runs) {
        CUDA_MEMCPY2D copy = new CUDA_MEMCPY2D();
        copy.srcMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
        copy.srcDevice = new Address(from);
        copy.srcPitch = fromPitch;
        copy.dstMemoryType = CUmemorytype.CU_MEMORYTYPE_DEVICE;
        copy.dstDevice = new Address(to);
        copy.dstPitch = toPitch;
        copy.WidthInBytes = bytes;
        copy.Height = runs;
        if (bytes > 0 && runs > 0) {
            gpu.enter();
            gpu.check(cuMemcpy2DAsync(copy, stream.handle()), "cuMemcpy2DAsync");
        }
    }

    /** A copy of the columns [from, to). */
    CudaMatrix columns(CudaMatrix matrix, int from, int to) {
        return filled(matrix.rows(), to - from, matrix.dtype(), some -> {
            long pitch = (long) matrix.cols() * matrix.dtype().bytes();
            long width = (long) some.cols() * some.dtype().bytes();
            copyRuns(matrix.address(0, from), pitch, some.address(), width, width, some.rows());
        });
    }

    /** Bytes of zeros for what kernels count; whoever asks closes them. */
    Arena.Block cleared(int bytes) {
        Arena.Block block = arena.allocate(bytes);
        clear(block.address(), bytes);
        return block;
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
    public DeviceMatrix upload(byte[] codes, int rows, int cols) {
        if (codes.length != (long) rows * cols) {
            throw new IllegalArgumentException(rows + " x " + cols + " codes are not " + codes.length);
        }
        return filled(rows, cols, DType.U8, matrix -> transfers.upload(codes, matrix));
    }

    @Override
    public byte[] codes(DeviceMatrix matrix) {
        CudaMatrix from = own(matrix);
        if (from.dtype() != DType.U8) {
            throw new IllegalArgumentException("A matrix of " + from.dtype() + " holds no codes");
        }
        return transfers
                .download(from.address(), Math.toIntExact(from.elements()))
                .array();
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
        return solve;
    }

    CudaMatrix own(DeviceMatrix matrix) {
        if (!(matrix instanceof CudaMatrix) || !((CudaMatrix) matrix).isOf(this)) {
            throw new IllegalArgumentException("This matrix was made by another device");
        }
        return (CudaMatrix) matrix;
    }

    private void checked(DType type) {
        if (type != DType.F32 && type != computeType && type != DType.U8) {
            throw new IllegalArgumentException("A matrix here is F32, " + computeType + " or U8, not " + type);
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
