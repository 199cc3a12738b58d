package quern.cli;

import java.util.Optional;
import java.util.OptionalInt;
import quern.scheme.Recipe;

/**
 * What {@code quantize} and {@code plan} are asked to do.
 *
 * @param out the folder for the checkpoint; may be absent for {@code plan} only
 * @param recipe what to do, options already merged in
 * @param maxShardBytes largest output file
 * @param propagation absent: the plan chooses
 * @param stages absent: the plan chooses; 1 for exact propagation
 * @param resume go on with a run that stopped
 */
public record QuantizeRequest(
        ModelRequest model,
        Optional<String> out,
        Recipe recipe,
        CalibrationRequest calibration,
        long maxShardBytes,
        Optional<Propagation> propagation,
        OptionalInt stages,
        boolean resume) {}
