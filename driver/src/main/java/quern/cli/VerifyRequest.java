package quern.cli;

import java.util.Optional;

/**
 * @param folder a checkpoint of ours
 * @param against its source; where absent, the one its report names
 */
public record VerifyRequest(String folder, Optional<ModelRequest> against) {}
