package quern.tensor;

import java.util.Arrays;

/**
 * Rounds to the nearest of some values, whatever nearest means halfway.
 *
 * @param values in rising order
 * @param thresholds one fewer: what is above {@code thresholds[i]} goes to {@code values[i + 1]} or further
 */
public record StepFunction(float[] values, float[] thresholds) {
    /** Up to so many steps it is faster to pass all of them, since the loops along {@code x} are vector code. */
    private static final int FEW = 16;

    /** The place of the value that x goes to. */
    public int place(float x) {
        int at = Arrays.binarySearch(thresholds, x);
        return at >= 0 ? at : -1 - at;
    }

    /** Rounds the first {@code count} of x. */
    public void round(float[] x, int count) {
        if (values.length > FEW) {
            for (int i = 0; i < count; i++) {
                x[i] = values[place(x[i])];
            }
            return;
        }
        float[] rounded = new float[count];
        Arrays.fill(rounded, values[0]);
        for (int step = 0; step < thresholds.length; step++) {
            float threshold = thresholds[step];
            float value = values[step + 1];
            for (int i = 0; i < count; i++) {
                rounded[i] = x[i] > threshold ? value : rounded[i];
            }
        }
        System.arraycopy(rounded, 0, x, 0, count);
    }
}
