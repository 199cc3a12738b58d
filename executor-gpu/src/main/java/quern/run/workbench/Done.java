package quern.run.workbench;

import java.io.IOException;

/** Called for each result, one call at a time, in no particular order. */
@FunctionalInterface
public interface Done<R> {
    void accept(R result) throws IOException;
}
