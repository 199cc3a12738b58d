package quern.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import quern.Seeds;

/** Against the matrix written out: Sylvester's recursion, and the Hartley matrix by its definition. */
class RotationTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 8, 12, 64, 90, 192})
    void is_the_matrix_of_its_description(int size) {
        Rotation rotation = new Rotation(size, 5);
        double[][] q = new double[size][];
        for (int i = 0; i < size; i++) {
            float[] unit = new float[size];
            unit[i] = 1;
            rotation.apply(unit, 1, 1);
            q[i] = new double[size];
            for (int j = 0; j < size; j++) {
                q[i][j] = unit[j];
            }
        }
        int block = Integer.lowestOneBit(size);
        int odd = size / block;
        int negative = 0;
        for (int i = 0; i < size; i++) {
            double sign = Math.signum(q[i][0]); // H and C begin with a row and a column of positive numbers
            negative += sign < 0 ? 1 : 0;
            for (int j = 0; j < size; j++) {
                double angle = 2 * Math.PI * (i / block) * (j / block) / odd;
                double wanted = (Math.cos(angle) + Math.sin(angle)) / Math.sqrt(odd) * sylvester(i % block, j % block);
                assertThat(q[i][j]).isCloseTo(sign * wanted / Math.sqrt(block), within(1e-6));
                double product = 0;
                for (int k = 0; k < size && q[j] != null; k++) {
                    product += q[i][k] * q[j][k];
                }
                assertThat(q[j] == null || i == j ? 1 : product + 1).isCloseTo(1, within(1e-5));
            }
        }
        assertThat(size < 64 || (negative > size / 4 && negative < 3 * size / 4))
                .isTrue();
    }

    /** Of the Hadamard matrix, unscaled: -1 to the number of ones that two numbers share. */
    private static int sylvester(int row, int col) {
        return Integer.bitCount(row & col) % 2 == 0 ? 1 : -1;
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 12})
    void vectors_may_lie_in_columns_and_side_by_side(int size) {
        Random random = Seeds.random();
        Rotation rotation = new Rotation(size, 3);
        int inner = 5;
        float[] values = new float[3 * size * inner];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        float[] turned = values.clone();
        rotation.apply(turned, 3, inner);
        for (int run = 0; run < 3; run++) {
            for (int k = 0; k < inner; k++) {
                float[] one = new float[size];
                for (int i = 0; i < size; i++) {
                    one[i] = values[(run * size + i) * inner + k];
                }
                rotation.apply(one, 1, 1);
                for (int i = 0; i < size; i++) {
                    assertThat(turned[(run * size + i) * inner + k]).isEqualTo(one[i]);
                }
            }
        }
    }
}
