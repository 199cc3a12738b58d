package quern.transform;

import java.io.IOException;

/**
 * What becomes of a tensor, as a matrix of its last dimension by all others; a vector is one row.
 *
 * @param mixesRows whether a row of the result depends on other rows, so that the whole is needed
 */
record Edit(boolean mixesRows, Action action) {
    /** Changes rows in place. */
    @FunctionalInterface
    interface Action {
        /**
         * @param values rows x cols
         * @param first the number of the first row; 0 where rows are mixed
         */
        void apply(float[] values, int rows, int cols, int first) throws IOException;
    }

    /** Numbers that are read when they are first needed. */
    @FunctionalInterface
    interface Vector {
        float[] values() throws IOException;
    }

    /** Row i times the ith of as many numbers as there are rows. */
    static Edit timesRows(Vector factors) {
        return new Edit(false, (values, rows, cols, first) -> {
            float[] f = factors.values();
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < cols; c++) {
                    values[r * cols + c] *= f[first + r];
                }
            }
        });
    }

    /** Column i times the ith of as many numbers as there are columns. */
    static Edit timesColumns(Vector factors) {
        return new Edit(false, (values, rows, cols, first) -> {
            float[] f = factors.values();
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < cols; c++) {
                    values[r * cols + c] *= f[c];
                }
            }
        });
    }

    static Edit plus(float number) {
        return new Edit(false, (values, rows, cols, first) -> {
            for (int i = 0; i < values.length; i++) {
                values[i] += number;
            }
        });
    }

    static Edit fill(float number) {
        return new Edit(false, (values, rows, cols, first) -> java.util.Arrays.fill(values, number));
    }

    /** Each row, in runs as wide as the rotation: v becomes v Q. */
    static Edit turnRows(Rotation rotation) {
        return new Edit(
                false, (values, rows, cols, first) -> rotation.apply(values, values.length / rotation.size(), 1));
    }

    /** All columns: W becomes QT W. */
    static Edit turnColumns(Rotation rotation) {
        return new Edit(true, (values, rows, cols, first) -> rotation.apply(values, 1, cols));
    }

    /**
     * Columns in runs of some rows: for each run W becomes QT W.
     *
     * @param index numbers of rows, as many for each run as the rotation is wide
     */
    static Edit turnColumns(Rotation rotation, int[] index) {
        return new Edit(true, (values, rows, cols, first) -> {
            float[] own = new float[index.length * cols];
            for (int i = 0; i < index.length; i++) {
                System.arraycopy(values, index[i] * cols, own, i * cols, cols);
            }
            rotation.apply(own, index.length / rotation.size(), cols);
            for (int i = 0; i < index.length; i++) {
                System.arraycopy(own, i * cols, values, index[i] * cols, cols);
            }
        });
    }

    /** The same of the elements of a vector. */
    static Edit turnElements(Rotation rotation, int[] index) {
        return new Edit(false, (values, rows, cols, first) -> {
            float[] own = new float[index.length];
            for (int i = 0; i < index.length; i++) {
                own[i] = values[index[i]];
            }
            rotation.apply(own, index.length / rotation.size(), 1);
            for (int i = 0; i < index.length; i++) {
                values[index[i]] = own[i];
            }
        });
    }
}
