package quern.model;

import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.Matrix;

/**
 * Attention with linear biases (Press et al. 2022): a key's position times a slope of the head is added to its scores.
 *
 * @param factor what the product is multiplied by
 * @param rounded whether slopes and products are rounded to bf16 before that, as the family's code has it
 */
record Alibi(int heads, float factor, boolean rounded) {
    /** heads x length: what the position of a key adds. */
    Matrix bias(int length) {
        Matrix bias = Matrix.zeros(heads, length);
        for (int head = 0; head < heads; head++) {
            float slope = rounded(slope(head));
            for (int position = 0; position < length; position++) {
                bias.values()[head * length + position] = rounded(slope * position) * factor;
            }
        }
        return bias;
    }

    /** 2^(-8 (h + 1) / n) for the n heads of a power of two; those beyond take every other slope of 2 n. */
    private float slope(int head) {
        int power = Integer.highestOneBit(heads);
        double exponent = head < power ? 8.0 * (head + 1) / power : 8.0 * (2 * (head - power) + 1) / (2 * power);
        return (float) Math.pow(2, -exponent);
    }

    private float rounded(float value) {
        return rounded
                ? HalfFloats.toFloats(HalfFloats.fromFloats(new float[] {value}, DType.BF16), DType.BF16, 1)[0]
                : value;
    }
}
