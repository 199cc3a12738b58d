package quern.device.cpu;

import quern.tensor.DType;

/**
 * Some rows of a matrix, which they are closed with: a member of a stack.
 *
 * @param first row
 * @param rows how many
 */
record RowsOf(FloatRows matrix, int first, int rows) implements FloatRows {
    /** The rows of one of {@code members} matrices that lie one below the other. */
    static FloatRows member(FloatRows stack, int member, int members) {
        int rows = stack.rows() / members;
        return members == 1 ? stack : new RowsOf(stack, member * rows, rows);
    }

    @Override
    public int cols() {
        return matrix.cols();
    }

    @Override
    public DType dtype() {
        return matrix.dtype();
    }

    @Override
    public void read(int row, int col, int count, float[] to, int at) {
        matrix.read(first + row, col, count, to, at);
    }

    @Override
    public void write(int row, int col, int count, float[] from, int at) {
        matrix.write(first + row, col, count, from, at);
    }

    @Override
    public void readColumn(int col, int row, int count, float[] to) {
        matrix.readColumn(col, first + row, count, to);
    }

    @Override
    public void writeColumn(int col, int row, int count, float[] from) {
        matrix.writeColumn(col, first + row, count, from);
    }

    @Override
    public void close() {
        // The matrix's owner's.
    }
}
