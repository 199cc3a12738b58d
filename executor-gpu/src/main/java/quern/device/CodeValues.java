package quern.device;

import org.jspecify.annotations.Nullable;
import quern.tensor.StepFunction;

/**
 * What codes stand for before they are scaled.
 *
 * @param levels a code is a place among these; null where it is the whole number that it stands for
 * @param lowest smallest code that is used
 * @param highest largest code that is used
 */
public record CodeValues(@Nullable StepFunction levels, int lowest, int highest) {}
