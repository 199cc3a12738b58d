package quern.method;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import quern.Seeds;
import quern.tensor.Matrix;

class ShrinkageTest {
    private static final int N = 12;

    private static Hessian random(int tokens, Random random) {
        Matrix sum = Matrix.zeros(N, N);
        for (int t = 0; t < tokens; t++) {
            double[] x = random.doubles(N, -1, 1).toArray();
            for (int i = 0; i < N; i++) {
                for (int j = 0; j < N; j++) {
                    sum.values()[i * N + j] += (float) (x[i] * x[j]);
                }
            }
        }
        return new Hessian(sum, tokens);
    }

    @Test
    void fewer_tokens_than_four_for_an_input_are_few() {
        assertThat(Shrinkage.needed(4 * N - 1, N)).isTrue();
        assertThat(Shrinkage.needed(4 * N, N)).isFalse();
    }

    @Test
    void without_tokens_it_is_the_mean_of_all() {
        Random random = Seeds.random();
        Hessian all = random(100, random);
        Hessian shrunk = Shrinkage.toward(all, new Hessian(Matrix.zeros(N, N), 0));
        for (int i = 0; i < N * N; i++) {
            assertThat((double) shrunk.sum().values()[i] / shrunk.tokens())
                    .isCloseTo(all.sum().values()[i] / 100.0, within(1e-6));
        }
    }

    /** By the formula of the class, in doubles. */
    @Test
    void means_are_mixed_by_the_number_of_tokens() {
        Random random = Seeds.random();
        Hessian own = random(4, random);
        Hessian all = random(100, random);
        Hessian shrunk = Shrinkage.toward(all, own);
        assertThat(shrunk.tokens()).isEqualTo(4);
        double w = 4.0 / (4 + N);
        for (int i = 0; i < N * N; i++) {
            double mean = w * own.sum().values()[i] / 4 + (1 - w) * all.sum().values()[i] / 100;
            assertThat((double) shrunk.sum().values()[i] / 4).isCloseTo(mean, within(1e-6));
        }
    }

    @Test
    void the_note_names_the_figures() {
        assertThat(Shrinkage.note(random(4, Seeds.random())))
                .isEqualTo(
                        "4 calibration tokens reached this expert, which has 12 inputs; its Hessian counts 0.25, that of"
                                + " all experts of the layer the rest");
    }
}
