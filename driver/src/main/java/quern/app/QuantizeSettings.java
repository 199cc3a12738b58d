package quern.app;

import java.util.List;
import org.jspecify.annotations.Nullable;
import quern.calibration.TokenWindows;
import quern.scheme.Recipe;

/**
 * What one {@code quern quantize} is asked for, its texts read and cut.
 *
 * @param name what a person calls the model
 * @param source where it is
 * @param outputs what is made of it; several share the calibration
 * @param targetBpw what the widths of linears come to; null where the recipe says them
 * @param stages 0 for the default of the width
 * @param device what executors compute on; null for a GPU where they have one
 * @param calibration none where the method needs none
 * @param further windows for experts that too few tokens reach, none where there are no experts
 * @param evaluation what to measure before and after on, or nothing
 */
record QuantizeSettings(
        String name,
        String source,
        List<Output> outputs,
        @Nullable Double targetBpw,
        int stages,
        long maxShardBytes,
        boolean resume,
        @Nullable String device,
        @Nullable TokenWindows calibration,
        @Nullable TokenWindows further,
        @Nullable TokenWindows evaluation) {
    /** @param folder where the result goes */
    record Output(String folder, Recipe recipe) {}
}
