package quern.scheme;

import quern.tensor.Matrix;

/**
 * The neutral value between a method and a format: w[o][i] = scales[o][g] * (codes[o][i] - zeros[o][g]) with
 * g = groupOfColumn[i].
 *
 * @param scheme what the codes mean
 * @param outputs rows of the weight
 * @param inputs columns of the weight
 * @param codes outputs x inputs, row-major, each an unsigned number of {@code scheme.bits()} bits
 * @param scales outputs x groups, positive and exact in {@code scheme.scaleType()}
 * @param zeros outputs x groups, unsigned
 * @param groupOfColumn the group of each input
 */
public record QuantizedLinear(
        Scheme scheme, int outputs, int inputs, byte[] codes, float[] scales, byte[] zeros, int[] groupOfColumn) {
    public QuantizedLinear {
        int groups = scheme.groups(inputs);
        if (codes.length != outputs * inputs
                || scales.length != outputs * groups
                || zeros.length != outputs * groups
                || groupOfColumn.length != inputs) {
            throw new IllegalArgumentException(
                    "The parts of a quantized linear do not fit " + outputs + " x " + inputs);
        }
    }

    public int groups() {
        return scheme.groups(inputs);
    }

    /** The weights that the codes stand for, outputs x inputs, in float arithmetic. */
    public Matrix dequantize() {
        int groups = groups();
        Matrix weight = Matrix.zeros(outputs, inputs);
        for (int o = 0; o < outputs; o++) {
            for (int i = 0; i < inputs; i++) {
                int g = o * groups + groupOfColumn[i];
                weight.values()[o * inputs + i] = scales[g] * ((codes[o * inputs + i] & 0xff) - (zeros[g] & 0xff));
            }
        }
        return weight;
    }
}
