package quern.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.Seeds;

class StepFunctionTest {
    /** From wide steps to those so narrow that no table of buckets tells them apart. */
    @ParameterizedTest
    @ValueSource(floats = {10, 0.5f, 1e-2f, 1e-4f, 1e-7f})
    void a_place_is_the_number_of_thresholds_below(float step) {
        Random random = Seeds.random();
        for (int t = 0; t < 30; t++) {
            float[] thresholds = new float[1 + random.nextInt(200)];
            float at = random.nextFloat() - 1;
            for (int i = 0; i < thresholds.length; i++) {
                thresholds[i] = at;
                at = Math.max(Math.nextUp(at), at + step * random.nextFloat());
            }
            assertPlaces(thresholds, random);
        }
    }

    @Test
    void what_is_at_either_side_of_zero_is_told_apart() {
        assertPlaces(new float[] {-1, -Float.MIN_VALUE, Float.MIN_VALUE, 3}, Seeds.random());
    }

    /** As few as 4-bit floats have, whose two zeros are told apart. */
    @Test
    void few_values_are_rounded_to_by_their_bits() {
        Random random = Seeds.random();
        for (int t = 0; t < 300; t++) {
            float[] thresholds = new float[1 + random.nextInt(15)];
            for (int i = 0; i < thresholds.length; i++) {
                thresholds[i] = (float) (random.nextGaussian() * Math.exp(2 * random.nextGaussian()));
            }
            Arrays.sort(thresholds);
            assertPlaces(thresholds, random);
        }
        StepFunction zeros = new StepFunction(new float[] {-1, -0f, 0f, 1}, new float[] {-0.5f, -0.1f, 0.5f});
        float[] x = {-3, -0.4f, -0.1f, 0, 0.4f, 0.6f};
        zeros.round(x, x.length);
        assertThat(x).containsExactly(-1, -0f, -0f, 0f, 0f, 1);
    }

    private static void assertPlaces(float[] thresholds, Random random) {
        float[] values = new float[thresholds.length + 1];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        StepFunction steps = new StepFunction(values, thresholds);
        float[] x = new float[5 * thresholds.length + 5];
        for (int i = 0; i < thresholds.length; i++) {
            x[5 * i] = thresholds[i];
            x[5 * i + 1] = Math.nextUp(thresholds[i]);
            x[5 * i + 2] = Math.nextDown(thresholds[i]);
            x[5 * i + 3] = (float) random.nextGaussian();
            x[5 * i + 4] = (float) random.nextGaussian() * thresholds[i];
        }
        float[] corners = {0f, -0f, 1e30f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY};
        System.arraycopy(corners, 0, x, 5 * thresholds.length, corners.length);
        byte[] places = new byte[x.length + 3];
        steps.places(x, places, 3);
        float[] rounded = x.clone();
        steps.round(rounded, x.length);
        for (int i = 0; i < x.length; i++) {
            int below = 0;
            for (float threshold : thresholds) {
                below += x[i] > threshold ? 1 : 0;
            }
            assertThat(steps.place(x[i])).as("place of %s", x[i]).isEqualTo(below);
            assertThat(places[i + 3] & 0xff).as("place of %s", x[i]).isEqualTo(below);
            assertThat(rounded[i]).as("value of %s", x[i]).isEqualTo(values[below]);
        }
    }
}
