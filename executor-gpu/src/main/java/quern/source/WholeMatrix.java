package quern.source;

import java.io.IOException;
import java.lang.ref.SoftReference;
import java.util.Arrays;
import quern.tensor.Matrix;

/**
 * Rows of a matrix whose codes run down its columns, so that it is unpacked as a whole. Who reads it in slices reads them one
 * after the other: the matrix is kept between them, as long as there is memory for it.
 */
final class WholeMatrix implements PackedTensor.Rows {
    private final Unpacking unpacking;
    private SoftReference<Matrix> unpacked = new SoftReference<>(null);

    WholeMatrix(Unpacking unpacking) {
        this.unpacking = unpacking;
    }

    /** Reads and unpacks it. */
    @FunctionalInterface
    interface Unpacking {
        Matrix matrix() throws IOException;
    }

    @Override
    public synchronized float[] read(int from, int count) throws IOException {
        Matrix matrix = unpacked.get();
        if (matrix == null) {
            matrix = unpacking.matrix();
        }
        if (from == 0 && count == matrix.rows()) {
            return matrix.values();
        }
        boolean last = from + count == matrix.rows();
        unpacked = new SoftReference<>(last ? null : matrix);
        return Arrays.copyOfRange(matrix.values(), from * matrix.cols(), (from + count) * matrix.cols());
    }

    static Matrix transposed(Matrix matrix) {
        Matrix turned = Matrix.zeros(matrix.cols(), matrix.rows());
        for (int r = 0; r < matrix.rows(); r++) {
            for (int c = 0; c < matrix.cols(); c++) {
                turned.values()[c * matrix.rows() + r] = matrix.values()[r * matrix.cols() + c];
            }
        }
        return turned;
    }
}
