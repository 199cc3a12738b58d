package quern.device.cpu;

import quern.device.DeviceMatrix;
import quern.tensor.DType;

/**
 * Codes on the heap, of either device: what reads and writes them are loops.
 *
 * @param values rows x cols
 */
record HeapCodes(int rows, int cols, byte[] values) implements DeviceMatrix {
    static HeapCodes zeros(int rows, int cols) {
        return new HeapCodes(rows, cols, new byte[Math.multiplyExact(rows, cols)]);
    }

    static HeapCodes copy(byte[] codes, int rows, int cols) {
        if (codes.length != (long) rows * cols) {
            throw new IllegalArgumentException(rows + " x " + cols + " codes are not " + codes.length);
        }
        return new HeapCodes(rows, cols, codes.clone());
    }

    static HeapCodes own(DeviceMatrix matrix) {
        if (!(matrix instanceof HeapCodes)) {
            throw new IllegalArgumentException("These are no codes of this device");
        }
        return (HeapCodes) matrix;
    }

    HeapCodes columns(int[] order) {
        HeapCodes result = zeros(rows, order.length);
        for (int row = 0; row < rows; row++) {
            for (int j = 0; j < order.length; j++) {
                result.values[row * order.length + j] = order[j] < 0 ? 0 : values[row * cols + order[j]];
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
