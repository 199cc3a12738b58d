package quern.method;

import quern.scheme.QuantizedLinear;
import quern.tensor.Matrix;

/**
 * What quantized weights cost where nothing is known of their inputs.
 *
 * @param squares the sum of squared errors
 * @param norm the sum of squared weights
 */
record Errors(double squares, double norm) {
    /** Of a weight whose groups are runs of columns. */
    static Errors of(Matrix weight, QuantizedLinear quantized) {
        int n = weight.cols();
        int groups = quantized.groups();
        int length = quantized.scheme().groupLength(n);
        float[] values = quantized.scheme().grid().levels();
        float[] row = new float[n];
        float[] value = new float[n];
        float[] scale = new float[n];
        float[] zero = new float[n];
        double squares = 0;
        double norm = 0;
        for (int r = 0; r < weight.rows(); r++) {
            System.arraycopy(weight.values(), r * n, row, 0, n);
            Scales.spread(quantized.scales(), r * groups, length, scale);
            Scales.spread(quantized.zeros(), r * groups, length, zero);
            for (int i = 0; i < n; i++) {
                value[i] = values[quantized.codes()[r * n + i] & 0xff];
            }
            for (int i = 0; i < n; i++) {
                value[i] = row[i] - scale[i] * (value[i] - zero[i]);
            }
            squares += squares(value);
            norm += squares(row);
        }
        return new Errors(squares, norm);
    }

    /** Four sums side by side, since each addition waits for the one before. */
    private static double squares(float[] values) {
        double a = 0;
        double b = 0;
        double c = 0;
        double d = 0;
        int i = 0;
        for (; i <= values.length - 4; i += 4) {
            a += (double) values[i] * values[i];
            b += (double) values[i + 1] * values[i + 1];
            c += (double) values[i + 2] * values[i + 2];
            d += (double) values[i + 3] * values[i + 3];
        }
        for (; i < values.length; i++) {
            a += (double) values[i] * values[i];
        }
        return (a + b) + (c + d);
    }
}
