package quern.evaluate;

import java.util.List;

/**
 * Sums over predicted tokens: of a window all but the first, each predicted from those before it.
 *
 * @param nll negative log-likelihood, nats
 * @param kl Kullback-Leibler divergence from the reference's distribution to the model's, nats; 0 without a reference
 * @param agree tokens where both hold the same next token for likeliest; without a reference all
 * @param tokens predicted tokens
 */
public record Score(double nll, double kl, long agree, long tokens) {
    public static final Score NONE = new Score(0, 0, 0, 0);

    public Score plus(Score other) {
        return new Score(nll + other.nll, kl + other.kl, agree + other.agree, tokens + other.tokens);
    }

    /** The sum in the order of the list, which is what makes it the same bits each time. */
    public static Score sum(List<Score> windows) {
        Score sum = NONE;
        for (Score window : windows) {
            sum = sum.plus(window);
        }
        return sum;
    }

    /** exp of the mean negative log-likelihood; NaN without tokens. */
    public double perplexity() {
        return Math.exp(nll / tokens);
    }

    /** Nats per token. */
    public double meanKl() {
        return kl / tokens;
    }

    /** From 0 to 1. */
    public double agreement() {
        return (double) agree / tokens;
    }
}
