package quern.cli;

import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import quern.scheme.Recipe;

/**
 * What {@code quantize} and {@code plan} are asked to do.
 *
 * @param out the folder for the checkpoint; may be absent for {@code plan} only. Of several recipes: a folder of theirs
 * @param recipes what to do, options already merged in, by name; several share the calibration
 * @param targetBpw bits of a quantized weight on average, scales and zero points included; the widths of linears follow from it
 * @param maxShardBytes largest output file
 * @param propagation absent: the plan chooses
 * @param stages absent: the plan chooses; 1 for exact propagation
 * @param resume go on with a run that stopped
 * @param device what executors compute on; absent: a GPU where they have one
 */
public record QuantizeRequest(
        ModelRequest model,
        Optional<String> out,
        Map<String, Recipe> recipes,
        OptionalDouble targetBpw,
        CalibrationRequest calibration,
        long maxShardBytes,
        Optional<Propagation> propagation,
        OptionalInt stages,
        boolean resume,
        Optional<String> device) {}
