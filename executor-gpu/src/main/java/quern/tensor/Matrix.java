package quern.tensor;

/** A dense row-major float matrix on the heap. Holds its array: writing to {@code values} writes to the matrix. */
public record Matrix(int rows, int cols, float[] values) {
    public Matrix {
        if ((long) rows * cols != values.length) {
            throw new IllegalArgumentException(
                    "A " + rows + " x " + cols + " matrix does not have " + values.length + " values");
        }
    }

    public static Matrix zeros(int rows, int cols) {
        return new Matrix(rows, cols, new float[Math.multiplyExact(rows, cols)]);
    }

    public float at(int row, int col) {
        return values[row * cols + col];
    }

    /** The largest magnitude; 0 if it is empty. */
    public float largest() {
        float largest = 0;
        for (float value : values) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }

    public Matrix copy() {
        return new Matrix(rows, cols, values.clone());
    }
}
