package quern.cli;

import java.util.Optional;

/**
 * @param model the checkpoint to judge
 * @param against the checkpoint to compare with, mostly the original
 * @param text {@code demo}, the name of a set, or {@code PATH[:column]}
 * @param length tokens of a window
 * @param lengthGiven whether the user asked for this length: if not, it may be cut to the model's positions
 * @param maxWindows windows at most; 0 for all
 * @param maxChars characters of the text at most; 0 for all
 */
public record EvalRequest(
        ModelRequest model,
        Optional<ModelRequest> against,
        String text,
        int length,
        boolean lengthGiven,
        int maxWindows,
        int maxChars) {}
