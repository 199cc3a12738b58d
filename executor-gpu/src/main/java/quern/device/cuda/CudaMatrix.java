package quern.device.cuda;

import quern.device.DeviceMatrix;
import quern.tensor.DType;

/** A row-major matrix in a GPU's memory, of one device's arena. */
final class CudaMatrix implements DeviceMatrix {
    private final CudaDevice device;
    private final int rows;
    private final int cols;
    private final DType dtype;
    private final Arena.Block block;

    CudaMatrix(CudaDevice device, int rows, int cols, DType dtype, Arena.Block block) {
        this.device = device;
        this.rows = rows;
        this.cols = cols;
        this.dtype = dtype;
        this.block = block;
    }

    boolean isOf(CudaDevice other) {
        return device == other;
    }

    @Override
    public int rows() {
        return rows;
    }

    @Override
    public int cols() {
        return cols;
    }

    @Override
    public DType dtype() {
        return dtype;
    }

    /** Where it begins on the GPU; {@link IllegalStateException} if it was closed. */
    long address() {
        return block.address();
    }

    long address(long row, long col) {
        return address() + (row * cols + col) * dtype.bytes();
    }

    long elements() {
        return (long) rows * cols;
    }

    long bytes() {
        return elements() * dtype.bytes();
    }

    @Override
    public void close() {
        block.close();
    }
}
