package quern.device.cpu;

import quern.device.DeviceMatrix;
import quern.device.GridSearchLoops;

/** A row-major F32 matrix, seen by runs of a row. A run may go on into the rows that follow. */
interface FloatRows extends DeviceMatrix, GridSearchLoops.Rows {
    void write(int row, int col, int count, float[] from, int at);

    /** The part of a column in rows [row, row + count). */
    void readColumn(int col, int row, int count, float[] to);

    void writeColumn(int col, int row, int count, float[] from);

    /** Makes each element of this, a single row, no smaller than any magnitude in the same column of another matrix. */
    default void raise(FloatRows matrix) {
        float[] largest = new float[cols()];
        float[] row = new float[cols()];
        read(0, 0, largest.length, largest, 0);
        for (int r = 0; r < matrix.rows(); r++) {
            matrix.read(r, 0, row.length, row, 0);
            for (int c = 0; c < row.length; c++) {
                largest[c] = Math.max(largest[c], Math.abs(row[c]));
            }
        }
        write(0, 0, largest.length, largest, 0);
    }
}
