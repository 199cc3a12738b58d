package quern.model;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import quern.tensor.Matrix;

/**
 * How the router of a mixture of experts chooses among them, and what their outputs weigh.
 *
 * @param experts how many there are
 * @param chosen to how many a token goes
 * @param normalized whether the weights of the chosen are divided by their sum
 * @param correction the tensor beside the router's weight that is added to scores in order to choose, or none
 * @param groups experts are chosen from the best groups; 1 for all
 * @param chosenGroups how many of these
 * @param factor what weights are multiplied by in the end
 */
record Routing(
        int experts,
        int chosen,
        Scores scores,
        boolean normalized,
        @Nullable String correction,
        int groups,
        int chosenGroups,
        float factor) {
    /** What becomes of the router's logits. */
    enum Scores {
        /** Their softmax over all experts. */
        @JsonProperty("softmax")
        SOFTMAX,
        /** Their softmax over the chosen ones. */
        @JsonProperty("softmax_of_chosen")
        SOFTMAX_OF_CHOSEN,
        /** Each by itself. */
        @JsonProperty("sigmoid")
        SIGMOID
    }

    static @Nullable Routing of(Fields config, Architecture.@Nullable Routing rule) {
        if (rule == null) {
            return null;
        }
        int experts = config.integer(rule.experts(), 1, 1 << 14);
        int groups = rule.groups() == null ? 1 : config.integer(rule.groups(), 1, experts, 1);
        if (rule.groups() != null && experts % groups != 0) {
            throw config.wrong(rule.groups(), Integer.toString(groups), "a divisor of the " + experts + " experts");
        }
        int chosenGroups =
                rule.chosenGroups() == null ? groups : config.integer(rule.chosenGroups(), 1, groups, groups);
        return new Routing(
                experts,
                config.integer(rule.chosen(), 1, experts / groups * chosenGroups),
                rule.scores(),
                Condition.holds(rule.normalized(), config),
                rule.correction(),
                groups,
                chosenGroups,
                rule.factor() == null ? 1 : (float) config.positive(rule.factor(), 1));
    }

    /**
     * @param logits tokens x experts, of the router
     * @param corrections one for each expert; zeros where there are none
     * @return tokens x experts: what the expert's output weighs, 0 for those that are not chosen
     */
    Matrix weights(Matrix logits, float[] corrections) {
        Matrix weights = Matrix.zeros(logits.rows(), experts);
        double[] own = new double[experts];
        double[] choice = new double[experts];
        for (int token = 0; token < logits.rows(); token++) {
            for (int e = 0; e < experts; e++) {
                own[e] = logits.at(token, e);
            }
            score(own);
            for (int e = 0; e < experts; e++) {
                choice[e] = own[e] + corrections[e];
            }
            int[] best = best(choice);
            weigh(own, best, weights.values(), token * experts);
        }
        return weights;
    }

    private void score(double[] logits) {
        if (scores == Scores.SOFTMAX) {
            softmax(logits, IntStream.range(0, experts).toArray());
        } else if (scores == Scores.SIGMOID) {
            for (int e = 0; e < experts; e++) {
                logits[e] = 1 / (1 + Math.exp(-logits[e]));
            }
        }
    }

    /** In place, over those of an index. */
    private static void softmax(double[] values, int[] index) {
        double greatest = Arrays.stream(index).mapToDouble(i -> values[i]).max().orElse(0);
        double sum = 0;
        for (int i : index) {
            values[i] = Math.exp(values[i] - greatest);
            sum += values[i];
        }
        for (int i : index) {
            values[i] /= sum;
        }
    }

    /** The chosen experts; of equal ones those with lower numbers. */
    private int[] best(double[] choice) {
        int size = experts / groups;
        if (chosenGroups < groups) {
            double[] ofGroup = new double[groups]; // the sum of its two best
            for (int g = 0; g < groups; g++) {
                double[] members = Arrays.copyOfRange(choice, g * size, (g + 1) * size);
                Arrays.sort(members);
                ofGroup[g] = members[size - 1] + (size > 1 ? members[size - 2] : 0);
            }
            boolean[] in = new boolean[groups];
            for (int g : greatest(ofGroup, chosenGroups)) {
                in[g] = true;
            }
            for (int e = 0; e < experts; e++) {
                choice[e] = in[e / size] ? choice[e] : Double.NEGATIVE_INFINITY;
            }
        }
        return greatest(choice, chosen);
    }

    /** The numbers of the greatest values. */
    private static int[] greatest(double[] values, int count) {
        int[] numbers = new int[count];
        boolean[] taken = new boolean[values.length];
        for (int i = 0; i < count; i++) {
            int best = -1;
            for (int v = 0; v < values.length; v++) {
                if (!taken[v] && (best < 0 || values[v] > values[best])) {
                    best = v;
                }
            }
            taken[best] = true;
            numbers[i] = best;
        }
        return numbers;
    }

    private void weigh(double[] own, int[] best, float[] weights, int at) {
        if (scores == Scores.SOFTMAX_OF_CHOSEN) {
            softmax(own, best);
        }
        double sum = normalized ? Arrays.stream(best).mapToDouble(e -> own[e]).sum() : 1;
        for (int e : best) {
            weights[at + e] = (float) (own[e] / sum * factor);
        }
    }
}
