package quern.cli;

import picocli.CommandLine.Option;
import quern.QuernException;

/** An option of other tools, known here so that it can be answered. */
final class RemoteCode {
    @Option(names = "--trust-remote-code", hidden = true)
    boolean asked;

    void refuse() {
        if (asked) {
            throw new QuernException(
                    "Cannot run a model's own code: Quern reads the architectures it knows as data and never"
                            + " executes what a checkpoint brings (leave --trust-remote-code away)");
        }
    }
}
