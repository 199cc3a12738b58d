package quern.cli;

/**
 * @param source {@code demo}, the name of a set, or {@code PATH[:column]}
 * @param samples windows
 * @param length tokens of a window
 * @param seed of the draws from a named set
 * @param lengthGiven whether the user asked for this length: if not, it may be cut to the model's positions
 */
public record CalibrationRequest(String source, int samples, int length, long seed, boolean lengthGiven) {}
