package quern.device;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.Seeds;

class PowerTest {
    @Test
    void the_power_is_that_of_the_library() {
        Random random = Seeds.random();
        for (int i = 0; i < 10_000; i++) {
            float x = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(12) - 6));
            double exact = Math.pow(Math.abs(x), 2.4);
            assertThat((double) Power.of(x)).isCloseTo(exact, within(1e-6 * exact));
        }
    }
}
