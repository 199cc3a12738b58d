package quern.device.cpu;

import java.util.Arrays;
import quern.tensor.Matrix;

/**
 * Rotary position embedding of rows on the heap. A column is turned as x * cos + partner * sin, where the partner is the other
 * column of its pair and the sine has the pair's sign: one loop without dependences over a head, which the compiler turns
 * into vector instructions.
 */
final class Rope {
    private final int headDim;
    private final int half;
    private final boolean interleaved;
    private final float[] cos; // positions x headDim; 1 behind the turned columns
    private final float[] sin; // positions x headDim; 0 behind the turned columns

    /**
     * @param cos positions x half
     * @param sin positions x half
     */
    Rope(Matrix cos, Matrix sin, int headDim, boolean interleaved) {
        this.headDim = headDim;
        this.half = cos.cols();
        this.interleaved = interleaved;
        this.cos = new float[cos.rows() * headDim];
        this.sin = new float[cos.rows() * headDim];
        Arrays.fill(this.cos, 1);
        for (int position = 0; position < cos.rows(); position++) {
            for (int i = 0; i < half; i++) {
                int first = position * headDim + (interleaved ? 2 * i : i);
                int second = interleaved ? first + 1 : first + half;
                this.cos[first] = cos.at(position, i);
                this.cos[second] = cos.at(position, i);
                this.sin[first] = -sin.at(position, i);
                this.sin[second] = sin.at(position, i);
            }
        }
    }

    /**
     * Turns the heads of one row.
     *
     * @param x rows; this one begins at {@code at}
     * @param partners room for a head
     * @param turned takes the row, at the same place
     */
    void turn(float[] x, int at, int heads, int position, float[] partners, float[] turned) {
        int angle = position * headDim;
        for (int h = 0; h < heads; h++) {
            int head = at + h * headDim;
            if (interleaved) {
                for (int i = 0; i < 2 * half; i += 2) {
                    partners[i] = x[head + i + 1];
                    partners[i + 1] = x[head + i];
                }
            } else {
                System.arraycopy(x, head + half, partners, 0, half);
                System.arraycopy(x, head, partners, half, half);
            }
            for (int i = 0; i < headDim; i++) {
                turned[head + i] = x[head + i] * cos[angle + i] + partners[i] * sin[angle + i];
            }
        }
    }
}
