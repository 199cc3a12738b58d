package quern.scheme;

import java.util.Arrays;
import quern.tensor.Matrix;

/**
 * The neutral value between a method and a format: w[o][i] = scales[o][g] * (value(codes[o][i]) - zeros[o][g]) with
 * g = groupOfColumn[i].
 *
 * @param scheme what the codes mean
 * @param outputs rows of the weight
 * @param inputs columns of the weight
 * @param codes outputs x inputs, row-major, each an unsigned number of {@code scheme.bits()} bits
 * @param scales outputs x groups, not 0; negative ones only in {@link Blocks} and on symmetric grids of up to 4 bits. Their
 *     products with the divisor are exact in {@code scheme.scaleType()}
 * @param zeros outputs x groups
 * @param groupOfColumn the group of each input
 * @param divisor what stored scales are divided by: 1 but for types whose range is too small without
 * @param units what scales and minima are multiples of, where the scheme has nested blocks
 */
public record QuantizedLinear(
        Scheme scheme,
        int outputs,
        int inputs,
        byte[] codes,
        float[] scales,
        float[] zeros,
        int[] groupOfColumn,
        float divisor,
        Units units) {
    /**
     * Exact in {@code scheme.scaleType()}.
     *
     * @param scales outputs x blocks
     * @param minima outputs x blocks; empty where there are none
     */
    public record Units(float[] scales, float[] minima) {
        public static final Units NONE = new Units(new float[0], new float[0]);

        /** For so many blocks. */
        public static Units of(Blocks blocks, int count) {
            return new Units(new float[count], new float[blocks.minima() ? count : 0]);
        }
    }

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

    /** Without blocks. */
    public QuantizedLinear(
            Scheme scheme,
            int outputs,
            int inputs,
            byte[] codes,
            float[] scales,
            float[] zeros,
            int[] groupOfColumn,
            float divisor) {
        this(scheme, outputs, inputs, codes, scales, zeros, groupOfColumn, divisor, Units.NONE);
    }

    /** With scales that are stored as they are. */
    public QuantizedLinear(
            Scheme scheme, int outputs, int inputs, byte[] codes, float[] scales, float[] zeros, int[] groupOfColumn) {
        this(scheme, outputs, inputs, codes, scales, zeros, groupOfColumn, 1);
    }

    /** Zero points that are unsigned bytes, as floats. */
    public static float[] zeros(byte[] codes) {
        float[] zeros = new float[codes.length];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = codes[i] & 0xff;
        }
        return zeros;
    }

    /** Groups that are runs of columns. */
    public static int[] runs(int inputs, int length) {
        int[] groups = new int[inputs];
        Arrays.setAll(groups, i -> i / length);
        return groups;
    }

    public int groups() {
        return scheme.groups(inputs);
    }

    /** Zero points that are whole numbers of a byte. */
    public byte[] zeroCodes() {
        byte[] codes = new byte[zeros.length];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) (int) zeros[i];
        }
        return codes;
    }

    /** The weights that the codes stand for, outputs x inputs, in float arithmetic. */
    public Matrix dequantize() {
        int groups = groups();
        float[] values = scheme.grid().levels();
        Matrix weight = Matrix.zeros(outputs, inputs);
        for (int o = 0; o < outputs; o++) {
            for (int i = 0; i < inputs; i++) {
                int g = o * groups + groupOfColumn[i];
                weight.values()[o * inputs + i] = scales[g] * (values[codes[o * inputs + i] & 0xff] - zeros[g]);
            }
        }
        return weight;
    }
}
