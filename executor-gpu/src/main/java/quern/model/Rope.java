package quern.model;

import java.util.Set;
import java.util.function.DoubleUnaryOperator;
import java.util.function.IntFunction;
import java.util.function.IntToDoubleFunction;
import quern.tensor.Matrix;

/**
 * Rotary position embedding of one layer: how fast each pair of columns turns with the position.
 *
 * @param inverseFrequencies angle per position of each pair, half of the rotated columns of a head
 * @param longest tokens of the longest sequence that they hold for
 * @param beyond of a longer sequence of so many tokens, all of its positions included
 * @param magnitude what cosines and sines are multiplied by
 * @param theta the base, for messages
 * @param scoreFactor what it would have scores multiplied by, in families that do so
 */
record Rope(
        double[] inverseFrequencies,
        int longest,
        IntFunction<double[]> beyond,
        double magnitude,
        double theta,
        double scoreFactor) {
    /** Of a layer without rotary positions. */
    static final Rope NONE = new Rope(new double[0], 1, 1);

    private static final Set<String> KNOWN = Set.of("default", "dynamic", "linear", "llama3", "longrope", "yarn");

    /** The same for sequences of every length. */
    private Rope(double[] inverseFrequencies, double magnitude, double theta) {
        this(inverseFrequencies, magnitude, theta, 1);
    }

    private Rope(double[] inverseFrequencies, double magnitude, double theta, double scoreFactor) {
        this(inverseFrequencies, Integer.MAX_VALUE, length -> inverseFrequencies, magnitude, theta, scoreFactor);
    }

    /**
     * @param theta the base of the frequencies
     * @param scaling {@code rope_parameters}, or {@code rope_scaling} of older configs; may be empty
     * @param type of the scaling
     * @param rotated columns of a head that turn, even
     * @param config of the model
     * @param maxPositions {@code max_position_embeddings}
     */
    static Rope of(double theta, Fields scaling, String type, int rotated, Fields config, int maxPositions) {
        double[] plain = plain(theta, rotated);
        // Where a config has this beside the scaling, that is what counts.
        String key = "original_max_position_embeddings";
        double original = (config.has(key) ? config : scaling).positive(key, maxPositions);
        switch (type) {
            case "default":
                return new Rope(plain, 1, theta);
            case "linear":
                double factor = scaling.positive("factor");
                return new Rope(each(plain, i -> plain[i] / factor), 1, theta);
            case "llama3":
                return new Rope(llama3(plain, scaling, original), 1, theta);
            case "yarn":
                return yarn(theta, plain, scaling, rotated, original, maxPositions);
            case "dynamic":
                return dynamic(theta, plain, scaling, rotated, maxPositions);
            case "longrope":
                return longrope(theta, plain, scaling, original, maxPositions);
            default:
                throw scaling.wrong(
                        "rope_type",
                        "'" + Fields.abbreviated(type) + "'",
                        "one of " + String.join(", ", KNOWN.stream().sorted().toList()));
        }
    }

    private static double[] plain(double theta, int rotated) {
        double[] plain = new double[rotated / 2];
        for (int i = 0; i < plain.length; i++) {
            plain[i] = Math.pow(theta, -2.0 * i / rotated);
        }
        return plain;
    }

    /** A sequence beyond the known positions gets a larger base, as if all frequencies but the fastest were interpolated (NTK). */
    private static Rope dynamic(double theta, double[] plain, Fields scaling, int rotated, int maxPositions) {
        double factor = scaling.positive("factor");
        IntFunction<double[]> beyond = length -> {
            double stretch = factor * length / maxPositions - (factor - 1);
            return plain(theta * Math.pow(stretch, rotated / (rotated - 2.0)), rotated);
        };
        return new Rope(plain, maxPositions, beyond, 1, theta, 1);
    }

    /** LongRoPE (Ding et al. 2024): a factor for each pair, other ones beyond the original length. */
    private static Rope longrope(double theta, double[] plain, Fields scaling, double original, int maxPositions) {
        double[] near = scaling.numbers("short_factor", plain.length);
        double[] far = scaling.numbers("long_factor", plain.length);
        double factor = scaling.positive("factor", maxPositions / original);
        double magnitude = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
        double[] stretched = each(plain, i -> plain[i] / far[i]);
        return new Rope(
                each(plain, i -> plain[i] / near[i]),
                (int) original,
                length -> stretched,
                scaling.positive("attention_factor", magnitude),
                theta,
                1);
    }

    /**
     * Llama 3.1: frequencies that turned often within the original length stay, slow ones are divided by the factor, those
     * between are blended.
     */
    private static double[] llama3(double[] plain, Fields scaling, double original) {
        double factor = scaling.positive("factor");
        double low = scaling.positive("low_freq_factor");
        double high = scaling.positive("high_freq_factor");
        if (high <= low) {
            throw scaling.wrong("high_freq_factor", Double.toString(high), "above low_freq_factor, " + low);
        }
        return each(plain, i -> {
            double turns = original * plain[i] / (2 * Math.PI);
            double keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
            return plain[i] * (keep + (1 - keep) / factor);
        });
    }

    /** YaRN (Peng et al. 2023), section 3.2 and 3.3, with the magnitudes that DeepSeek added. */
    private static Rope yarn(
            double theta, double[] plain, Fields scaling, int rotated, double original, int maxPositions) {
        double factor = scaling.positive("factor", maxPositions / original);
        double first = pairThatTurns(scaling.positive("beta_fast", 32), theta, rotated, original);
        double last = pairThatTurns(scaling.positive("beta_slow", 1), theta, rotated, original);
        if (!scaling.has("truncate") || scaling.bool("truncate")) {
            first = Math.floor(first);
            last = Math.ceil(last);
        }
        double from = Math.max(first, 0);
        double to = Math.min(last, rotated - 1);
        double span = from == to ? 0.001 : to - from;
        double[] blended = each(plain, i -> {
            double ramp = Math.min(1, Math.max(0, (i - from) / span));
            return plain[i] * (1 - ramp) + plain[i] / factor * ramp;
        });
        double magnitude = scaling.has("mscale") && scaling.has("mscale_all_dim")
                ? mscale(factor, scaling.positive("mscale")) / mscale(factor, scaling.positive("mscale_all_dim"))
                : mscale(factor, 1);
        double ofScores = scaling.has("mscale_all_dim") ? mscale(factor, scaling.positive("mscale_all_dim")) : 1;
        return new Rope(blended, scaling.positive("attention_factor", magnitude), theta, ofScores * ofScores);
    }

    private static double mscale(double factor, double a) {
        return factor <= 1 ? 1 : 0.1 * a * Math.log(factor) + 1;
    }

    /** The (fractional) pair that makes {@code turns} full turns within the original length. */
    private static double pairThatTurns(double turns, double theta, int rotated, double original) {
        return rotated * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private static double[] each(double[] plain, IntToDoubleFunction f) {
        double[] result = new double[plain.length];
        for (int i = 0; i < plain.length; i++) {
            result[i] = f.applyAsDouble(i);
        }
        return result;
    }

    /** length x half: cosines of the angles of positions 0 to length - 1. */
    Matrix cosines(int length) {
        return table(length, Math::cos);
    }

    /** length x half. */
    Matrix sines(int length) {
        return table(length, Math::sin);
    }

    private Matrix table(int length, DoubleUnaryOperator f) {
        double[] frequencies = length <= longest ? inverseFrequencies : beyond.apply(length);
        int half = frequencies.length;
        Matrix table = Matrix.zeros(length, half);
        for (int position = 0; position < length; position++) {
            for (int i = 0; i < half; i++) {
                table.values()[position * half + i] = (float) (f.applyAsDouble(position * frequencies[i]) * magnitude);
            }
        }
        return table;
    }
}
