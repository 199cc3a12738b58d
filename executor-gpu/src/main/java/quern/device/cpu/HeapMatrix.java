package quern.device.cpu;

import quern.tensor.DType;
import quern.tensor.Matrix;

/** A matrix on the heap. */
final class HeapMatrix implements FloatRows {
    private final Matrix matrix;

    HeapMatrix(Matrix matrix) {
        this.matrix = matrix;
    }

    static HeapMatrix zeros(int rows, int cols) {
        return new HeapMatrix(Matrix.zeros(rows, cols));
    }

    Matrix matrix() {
        return matrix;
    }

    float[] values() {
        return matrix.values();
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
        return DType.F32;
    }

    @Override
    public void read(int row, int col, int count, float[] to, int at) {
        matrix.read(row, col, count, to, at);
    }

    @Override
    public void write(int row, int col, int count, float[] from, int at) {
        System.arraycopy(from, at, values(), row * cols() + col, count);
    }

    @Override
    public void readColumn(int col, int row, int count, float[] to) {
        for (int r = 0, at = row * cols() + col; r < count; r++, at += cols()) {
            to[r] = values()[at];
        }
    }

    @Override
    public void writeColumn(int col, int row, int count, float[] from) {
        for (int r = 0, at = row * cols() + col; r < count; r++, at += cols()) {
            values()[at] = from[r];
        }
    }

    @Override
    public void close() {
        // The garbage collector's.
    }
}
