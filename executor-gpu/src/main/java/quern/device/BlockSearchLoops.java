package quern.device;

import org.jspecify.annotations.Nullable;
import quern.device.BlockFit.Steps;
import quern.tensor.DType;
import quern.tensor.HalfFloats;
import quern.tensor.StepFunction;

/**
 * A {@link BlockSearch} in loops over arrays: its definition, what devices without kernels for it run, and what quantizes where there is no
 * device. Chooses scales, minima and codes as the reference quantizers of ggml do (its {@code ggml-quants.c}): with the importance of inputs by the weighted searches of its importance matrix, without by the plain ones. So their codes are the same, but
 * where ggml stores a multiple of 0 for a group: here that is 1, with which nothing is lost. For one thread.
 */
public final class BlockSearchLoops {
    private static final float SMALLEST = 0x1p-24f;
    private static final float LARGEST = 65504f;

    /** A unit is no smaller a part of its minimum's: a zero point stays a number that a float holds. */
    private static final float FURTHEST_ZERO = 0x1p-20f;

    private final BlockSearch search;
    private final int length; // of a group
    private final int size; // of a block
    private final int half; // of the codes, or 0 where they have a minimum
    private final int highest;
    private final @Nullable StepFunction levels;
    private final BlockFit fit = new BlockFit();

    private final float[] x;
    private final float[] weight;
    private final int[] code; // less the middle of a grid without minima
    private final float[] scale; // groups of a block
    private final float[] minimum;
    private final float[] weightOfGroup;
    private final int[] multiple;
    private final int[] minimumMultiple;
    private float unit;
    private float minimumUnit;

    public BlockSearchLoops(BlockSearch search) {
        this.search = search;
        length = search.length();
        size = search.size();
        levels = search.values().levels();
        half = search.half();
        highest = search.values().highest();
        x = new float[size];
        weight = new float[size];
        code = new int[size];
        scale = new float[search.groups()];
        minimum = new float[search.groups()];
        weightOfGroup = new float[search.groups()];
        multiple = new int[search.groups()];
        minimumMultiple = new int[search.groups()];
    }

    /**
     * @param weights rows x n
     * @param importance of each column, or null where all weigh the same
     * @param scales rows x groups, written
     * @param zeros rows x groups, written
     * @param units rows x blocks, written where scales are multiples of them
     * @param minima rows x blocks, written where there are minima too: the units of these
     * @param codes rows x n, written
     */
    public void choose(
            float[] weights,
            int n,
            float @Nullable [] importance,
            float[] scales,
            float[] zeros,
            float[] units,
            float[] minima,
            byte[] codes) {
        int ofRow = n / size;
        for (int block = 0; block < weights.length / size; block++) {
            int from = block % ofRow * size;
            System.arraycopy(weights, block * size, x, 0, size);
            if (importance != null) {
                weigh(weights, block / ofRow * n, n, importance, from);
            }
            if (search.nested()) {
                nested(importance != null);
            } else {
                single(importance != null);
            }
            store(block, scales, zeros, codes);
            if (search.nested()) {
                units[block] = unit;
                if (search.minima()) {
                    minima[block] = minimumUnit;
                }
            }
        }
    }

    /** Errors of large weights count more: of inputs as important as the weight itself makes them. */
    private void weigh(float[] weights, int row, int n, float[] importance, int from) {
        boolean wholeRow = search.weighsByRow();
        float squares = 0;
        for (int i = 0; i < (wholeRow ? n : size); i++) {
            float value = wholeRow ? weights[row + i] : x[i];
            squares += value * value;
        }
        float variance = squares / (wholeRow ? n : size);
        boolean asIs = search.nested() && half == 32;
        boolean once = wholeRow || search.minima() && highest == 3;
        for (int i = 0; i < size; i++) {
            weight[i] = asIs
                    ? importance[from + i]
                    : importance[from + i] * (float) Math.sqrt((once ? variance : 2 * variance) + x[i] * x[i]);
        }
    }

    /** A scale for each group by itself. */
    private void single(boolean weighted) {
        if (levels != null) {
            plainWeights(weighted);
            float chosen = fit.levels(x, 0, size, levels, weight);
            float inverse = chosen == 0 ? 0 : 1 / chosen;
            for (int i = 0; i < size; i++) {
                code[i] = levels.place(x[i] * inverse);
            }
            scale[0] = stored(chosen);
        } else if (search.minima()) {
            singleAffine(weighted);
        } else {
            singleSymmetric(weighted);
        }
    }

    private void singleSymmetric(boolean weighted) {
        if (half == 128) { // not searched, and without its lowest code
            float inverse = reciprocal(Math.abs(BlockFit.extreme(x, 0, size)) / 127);
            for (int i = 0; i < size; i++) {
                float q = x[i] * inverse;
                code[i] = (int) (q + Math.copySign(0.5f, q)); // half away from zero
            }
            scale[0] = stored(Math.abs(BlockFit.extreme(x, 0, size)) / 127);
        } else if (weighted) {
            scale[0] = stored(fit.symmetric(x, 0, size, half, weight, code));
        } else {
            float d = BlockFit.extreme(x, 0, size) / -half;
            float inverse = reciprocal(d);
            for (int i = 0; i < size; i++) {
                code[i] = Math.min(highest, (int) (x[i] * inverse + half + 0.5f)) - half;
            }
            scale[0] = stored(d);
        }
    }

    private void singleAffine(boolean weighted) {
        float low;
        if (weighted) {
            scale[0] = fit.affine(x, 0, size, highest, weight, new Steps(-0.9f, 0.05f, 36, true), code);
            low = -fit.minimum();
        } else {
            low = x[0];
            float high = x[0];
            for (int i = 1; i < size; i++) {
                low = Math.min(low, x[i]);
                high = Math.max(high, x[i]);
            }
            scale[0] = (high - low) / highest;
            float inverse = reciprocal(scale[0]);
            for (int i = 0; i < size; i++) {
                code[i] = Math.min(highest, (int) ((x[i] - low) * inverse + 0.5f));
            }
        }
        low = clamp(HalfFloats.round(low, DType.F16), -LARGEST, LARGEST);
        scale[0] = stored(Math.max(scale[0], Math.abs(low) * FURTHEST_ZERO));
        minimum[0] = -low;
    }

    private void nested(boolean weighted) {
        if (search.minima()) {
            nestedAffine(weighted);
        } else {
            nestedSymmetric(weighted);
        }
    }

    private void nestedSymmetric(boolean weighted) {
        plainWeights(weighted);
        for (int g = 0; g < scale.length; g++) {
            if (levels != null) {
                scale[g] = fit.levels(x, g * length, length, levels, weight);
            } else if (half == 4 && !weighted) {
                scale[g] = fit.symmetricByDescent(x, g * length, length, half, weight, code);
            } else {
                scale[g] = fit.symmetric(x, g * length, length, half, weight, code);
            }
            weightOfGroup[g] = sum(weight, g * length, length);
        }
        float exact; // the unit before it was rounded
        if (half == 4 && weighted) {
            exact = fit.symmetric(scale, 0, scale.length, -search.lowest(), weightOfGroup, multiple);
            unit = stored(exact);
        } else {
            float extreme = BlockFit.extreme(scale, 0, scale.length);
            float inverse = levels != null ? reciprocal(extreme / search.lowest()) : search.lowest() / extreme;
            exact = levels != null ? extreme / search.lowest() : 1 / inverse;
            unit = stored(extreme == 0 ? 0 : exact);
            for (int g = 0; g < scale.length; g++) {
                int nearest = extreme == 0 ? 1 : BlockFit.nearest(inverse * scale[g]);
                multiple[g] = Math.max(search.lowest(), Math.min(search.highest(), nearest));
            }
        }
        for (int g = 0; g < scale.length; g++) {
            multiple[g] = multiple[g] == 0 ? 1 : multiple[g];
            scale[g] = unit * multiple[g];
            float inverse = reciprocal(exact * multiple[g]);
            for (int i = g * length; i < (g + 1) * length; i++) {
                code[i] = levels != null
                        ? levels.place(x[i] * inverse)
                        : Math.max(-half, Math.min(half - 1, BlockFit.nearest(x[i] / scale[g])));
            }
        }
    }

    private void nestedAffine(boolean weighted) {
        Steps steps = weighted
                ? new Steps(-0.9f, 0.05f, 36, true)
                : highest == 15 ? new Steps(-1, 0.1f, 20, true) : new Steps(-0.5f, 0.1f, 15, highest == 31);
        for (int g = 0; g < scale.length; g++) {
            if (!weighted) {
                plainWeights(g * length);
            }
            scale[g] = fit.affine(x, g * length, length, highest, weight, steps, code);
            minimum[g] = fit.minimum();
            weightOfGroup[g] = sum(weight, g * length, length);
        }
        unit = weighted
                ? fit.unit(scale, scale.length, search.highest(), weightOfGroup, multiple)
                : plainUnit(scale, multiple);
        minimumUnit = weighted
                ? fit.unit(minimum, scale.length, search.highest(), weightOfGroup, minimumMultiple)
                : plainUnit(minimum, minimumMultiple);
        minimumUnit = HalfFloats.round(Math.min(minimumUnit, LARGEST), DType.F16);
        unit = stored(Math.max(unit, minimumUnit * search.highest() * FURTHEST_ZERO));
        for (int g = 0; g < scale.length; g++) {
            multiple[g] = Math.max(1, multiple[g]);
            scale[g] = unit * multiple[g];
            minimum[g] = minimumUnit * minimumMultiple[g];
            for (int i = g * length; i < (g + 1) * length; i++) {
                code[i] = Math.max(0, Math.min(highest, BlockFit.nearest((x[i] + minimum[g]) / scale[g])));
            }
        }
    }

    /** Multiples of the largest value's part. */
    private float plainUnit(float[] values, int[] multiples) {
        float largest = 0;
        for (float value : values) {
            largest = Math.max(largest, value);
        }
        float inverse = largest > 0 ? search.highest() / largest : 0;
        for (int g = 0; g < values.length; g++) {
            multiples[g] = Math.min(search.highest(), BlockFit.nearest(inverse * values[g]));
        }
        return largest / search.highest();
    }

    private void plainWeights(boolean weighted) {
        for (int i = 0; !weighted && i < size; i++) {
            weight[i] = x[i] * x[i];
        }
    }

    /** Of a group with a minimum. */
    private void plainWeights(int at) {
        float squares = 0;
        for (int i = at; i < at + length; i++) {
            squares += x[i] * x[i];
        }
        float mean = highest == 3 ? 0 : (float) Math.sqrt(squares / length);
        for (int i = at; i < at + length; i++) {
            weight[i] = mean + Math.abs(x[i]);
        }
    }

    private void store(int block, float[] scales, float[] zeros, byte[] codes) {
        int middle = half; // codes of other grids are as they are
        for (int i = 0; i < size; i++) {
            codes[block * size + i] = (byte) (code[i] + middle);
        }
        for (int g = 0; g < scale.length; g++) {
            int at = block * scale.length + g;
            scales[at] = scale[g];
            zeros[at] = search.minima() ? minimum[g] / scale[g] : middle;
        }
    }

    /** As F16, never zero. */
    private static float stored(float value) {
        float magnitude = Math.min(LARGEST, Math.max(SMALLEST, Math.abs(value)));
        return Math.copySign(HalfFloats.round(magnitude, DType.F16), value);
    }

    private static float reciprocal(float value) {
        return value == 0 ? 0 : 1 / value;
    }

    private static float sum(float[] values, int at, int n) {
        float sum = 0;
        for (int i = at; i < at + n; i++) {
            sum += values[i];
        }
        return sum;
    }

    private static float clamp(float value, float lowest, float highest) {
        return Math.max(lowest, Math.min(highest, value));
    }
}
