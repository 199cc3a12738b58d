package quern.device.cpu;

import quern.tensor.DType;

/** A matrix outside of the heap: row-major, or in the order that oneDNN's products want a weight in. */
final class NativeMatrix implements FloatRows {
    private final int rows;
    private final int cols;
    private final DType dtype;
    private final boolean prepared;
    private final NativeMemory.Block block;

    NativeMatrix(int rows, int cols, DType dtype, boolean prepared, NativeMemory.Block block) {
        this.rows = rows;
        this.cols = cols;
        this.dtype = dtype;
        this.prepared = prepared;
        this.block = block;
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

    /** Whether the elements lie in the order of a prepared weight rather than by rows. */
    boolean prepared() {
        return prepared;
    }

    Address address() {
        return block.address();
    }

    Address address(long row, long col) {
        return address().plus((row * cols + col) * dtype.bytes());
    }

    Layout layout() {
        return Layout.rows(dtype, rows, cols);
    }

    long rowBytes() {
        return (long) cols * dtype.bytes();
    }

    long elements() {
        return (long) rows * cols;
    }

    @Override
    public void read(int row, int col, int count, float[] to, int at) {
        address(row, col).floats(count).get(to, at, count);
    }

    @Override
    public void write(int row, int col, int count, float[] from, int at) {
        address(row, col).floats(count).put(from, at, count);
    }

    @Override
    public void close() {
        block.close();
    }
}
