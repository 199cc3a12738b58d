package quern.format.bitsandbytes;

import java.util.Arrays;
import quern.tensor.StepFunction;

/**
 * Magnitudes of blocks in 8 bits: value = map[code] * largest[block / 256] + offset.
 *
 * @param codes one for each block
 * @param largest of the magnitudes of 256 blocks, less the offset
 * @param offset the mean of all
 */
record NestedScales(byte[] codes, float[] largest, float offset) {
    static final int BLOCK = 256;

    /** The library's dynamic map: seven decades, each of twice as many values as the one below. */
    static final StepFunction MAP = map();

    static NestedScales of(float[] scales) {
        double sum = 0;
        for (float scale : scales) {
            sum += scale;
        }
        float offset = (float) (sum / scales.length);
        byte[] codes = new byte[scales.length];
        float[] largest = new float[blocks(scales.length)];
        for (int block = 0; block < largest.length; block++) {
            int from = block * BLOCK;
            int to = Math.min(scales.length, from + BLOCK);
            for (int i = from; i < to; i++) {
                largest[block] = Math.max(largest[block], Math.abs(scales[i] - offset));
            }
            float reciprocal = largest[block] == 0 ? 0 : 1 / largest[block];
            for (int i = from; i < to; i++) {
                codes[i] = (byte) MAP.place((scales[i] - offset) * reciprocal);
            }
        }
        return new NestedScales(codes, largest, offset);
    }

    static int blocks(int scales) {
        return (scales + BLOCK - 1) / BLOCK;
    }

    float[] values() {
        float[] values = new float[codes.length];
        for (int i = 0; i < values.length; i++) {
            values[i] = MAP.values()[codes[i] & 0xff] * largest[i / BLOCK] + offset;
        }
        return values;
    }

    /** In the decade 10^(i - 6) the means of 2^i equal parts of 0.1 to 1, with both signs; 0, and 1. */
    private static StepFunction map() {
        float[] values = new float[256];
        int at = 0;
        for (int i = 0; i < 7; i++) {
            int parts = 1 << i;
            float decade = (float) Math.pow(10, i - 6);
            for (int part = 0; part < parts; part++) {
                float value = decade * ((bound(part, parts) + bound(part + 1, parts)) / 2);
                values[at++] = value;
                values[at++] = -value;
            }
        }
        values[at++] = 0;
        values[at] = 1;
        Arrays.sort(values);
        float[] thresholds = new float[values.length - 1];
        for (int i = 0; i < thresholds.length; i++) {
            thresholds[i] = (values[i] + values[i + 1]) / 2;
        }
        return new StepFunction(values, thresholds);
    }

    /** The k-th bound, as a linear space in floats comes out: from both ends, each with one rounding. */
    private static float bound(int k, int parts) {
        float step = (1 - 0.1f) / parts;
        return k < (parts + 1) / 2 ? Math.fma(step, k, 0.1f) : Math.fma(-step, parts - k, 1f);
    }
}
