package quern.cli;

import org.jspecify.annotations.Nullable;

/**
 * @param gpu a name in {@code conf/recommend.yaml}; null where {@code memory} is given
 * @param memory bytes; 0 where a GPU is given
 * @param server a name there
 * @param mostKl the smallest whose measured KL divergence is at most this; null for that with the least
 * @param context tokens; where not given, no more than the model has positions
 */
public record RecommendRequest(
        ModelRequest model,
        @Nullable String gpu,
        long memory,
        String server,
        @Nullable Double mostKl,
        int context,
        boolean contextGiven) {}
