package quern.device.cpu;

import java.nio.FloatBuffer;
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
    public void readColumn(int col, int row, int count, float[] to) {
        FloatBuffer lines = address(row, 0).floats(count * cols);
        for (int r = 0, at = col; r < count; r++, at += cols) {
            to[r] = lines.get(at);
        }
    }

    @Override
    public void writeColumn(int col, int row, int count, float[] from) {
        FloatBuffer lines = address(row, 0).floats(count * cols);
        for (int r = 0, at = col; r < count; r++, at += cols) {
            lines.put(at, from[r]);
        }
    }

    @Override
    public void close() {
        block.close();
    }
}
