package quern.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import quern.tensor.Matrix;

/** Figures worked out by hand: logits ln 1, ln 2, ln 3, ln 4, whose softmax is 0.1, 0.2, 0.3, 0.4. */
class RoutingTest {
    private static final Matrix LOGITS = new Matrix(
            1, 4, new float[] {(float) Math.log(1), (float) Math.log(2), (float) Math.log(3), (float) Math.log(4)});

    private static float[] weights(Routing routing, float... corrections) {
        return routing.weights(LOGITS, corrections.length == 0 ? new float[4] : corrections)
                .values();
    }

    private static void assertWeights(float[] weights, double... wanted) {
        for (int e = 0; e < wanted.length; e++) {
            assertThat((double) weights[e]).as("expert %d", e).isCloseTo(wanted[e], within(1e-6));
        }
    }

    private static Routing routing(
            Routing.Scores scores, boolean normalized, int groups, int chosenGroups, float factor) {
        return new Routing(4, 2, scores, normalized, null, groups, chosenGroups, factor);
    }

    @Test
    void the_softmax_may_be_over_all() {
        assertWeights(weights(routing(Routing.Scores.SOFTMAX, false, 1, 1, 1)), 0, 0, 0.3, 0.4);
    }

    @Test
    void and_renormalized() {
        assertWeights(weights(routing(Routing.Scores.SOFTMAX, true, 1, 1, 1)), 0, 0, 3 / 7.0, 4 / 7.0);
    }

    @Test
    void a_softmax_over_the_chosen_is_that_renormalized() {
        assertWeights(weights(routing(Routing.Scores.SOFTMAX_OF_CHOSEN, false, 1, 1, 1)), 0, 0, 3 / 7.0, 4 / 7.0);
    }

    @Test
    void a_sigmoid_looks_at_each_by_itself_and_may_be_multiplied() {
        assertWeights(weights(routing(Routing.Scores.SIGMOID, false, 1, 1, 2.5f)), 0, 0, 2.5 * 0.75, 2.5 * 0.8);
    }

    @Test
    void a_correction_chooses_and_does_not_weigh() {
        // Sigmoids are 1/2, 2/3, 3/4, 4/5.
        assertWeights(weights(routing(Routing.Scores.SIGMOID, false, 1, 1, 1), 1, 0, 0, 0), 0.5, 0, 0, 0.8);
    }

    @Test
    void only_the_best_groups_count() {
        // Groups of two: with the correction the first has 1/2 + 1 + 2/3, the second 3/4 + 4/5.
        assertWeights(weights(routing(Routing.Scores.SIGMOID, false, 2, 1, 1), 1, 0, 0, 0), 0.5, 2 / 3.0, 0, 0);
    }

    @Test
    void those_chosen_from_groups_count_though_their_scores_are_negative() {
        assertWeights(weights(routing(Routing.Scores.SIGMOID, false, 2, 1, 1), -5, -5, -9, -9), 0.5, 2 / 3.0, 0, 0);
    }

    @Test
    void of_equal_experts_the_first_are_chosen() {
        Routing routing = new Routing(4, 2, Routing.Scores.SOFTMAX, true, null, 1, 1, 1);
        assertWeights(routing.weights(Matrix.zeros(1, 4), new float[4]).values(), 0.5, 0.5, 0, 0);
    }

    @Test
    void many_tokens_go_where_their_greatest_logits_are() {
        Routing routing = new Routing(32, 5, Routing.Scores.SOFTMAX, false, null, 1, 1, 1);
        Matrix logits = new Matrix(50, 32, new float[50 * 32]);
        java.util.Random random = quern.Seeds.random();
        for (int i = 0; i < logits.values().length; i++) {
            logits.values()[i] = (float) random.nextGaussian();
        }
        Matrix weights = routing.weights(logits, new float[32]);
        for (int token = 0; token < 50; token++) {
            int t = token;
            List<Integer> wanted = IntStream.range(0, 32)
                    .boxed()
                    .sorted(Comparator.comparing(e -> -logits.at(t, e)))
                    .limit(5)
                    .toList();
            assertThat(IntStream.range(0, 32).filter(e -> weights.at(t, e) != 0).boxed())
                    .containsExactlyInAnyOrderElementsOf(wanted);
        }
    }
}
