package quern.device.cpu;

import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * Codes on the heap, of either device: what reads and writes them are loops.
 *
 * @param values row by row, from that of index {@code first} on
 */
record HeapCodes(int rows, int cols, byte[] values, int first) implements DeviceMatrix {
    static HeapCodes zeros(int rows, int cols) {
        return new HeapCodes(rows, cols, new byte[Math.multiplyExact(rows, cols)], 0);
    }

    static HeapCodes copy(byte[] codes, int rows, int cols) {
        if (codes.length != (long) rows * cols) {
            throw new IllegalArgumentException(rows + " x " + cols + " codes are not " + codes.length);
        }
        return new HeapCodes(rows, cols, codes.clone(), 0);
    }

    static HeapCodes own(DeviceMatrix matrix) {
        if (!(matrix instanceof HeapCodes)) {
            throw new IllegalArgumentException("These are no codes of this device");
        }
        return (HeapCodes) matrix;
    }

    /** The index of a value. */
    int at(int row, int col) {
        return first + row * cols + col;
    }

    /** The rows of one of {@code members} matrices that lie one below the other, which share their values with these. */
    HeapCodes member(int member, int members) {
        int some = rows / members;
        return new HeapCodes(some, cols, values, at(member * some, 0));
    }

    HeapCodes columns(int[]... orders) {
        int length = orders[0].length;
        HeapCodes result = zeros(rows, length);
        for (int row = 0; row < rows; row++) {
            int[] order = orders[row / (rows / orders.length)];
            for (int j = 0; j < length; j++) {
                result.values[row * length + j] = order[j] < 0 ? 0 : values[at(row, order[j])];
            }
        }
        return result;
    }

    @Override
    public DType dtype() {
        return DType.U8;
    }

    @Override
    public void close() {
        // The garbage collector's.
    }
}
