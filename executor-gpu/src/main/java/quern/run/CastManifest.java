package quern.run;

import java.io.Serializable;
import java.util.List;
import quern.method.Method;

/**
 * What was written of one shard without calibration.
 *
 * @param shard the file
 * @param linears what became of each of its linears
 */
record CastManifest(ShardTasks.ShardManifest shard, List<CastLinear> linears) implements Serializable {
    CastManifest {
        linears = List.copyOf(linears);
    }

    /**
     * @param loss and the next two, see {@link Method.Losses}
     * @param digest of what it was quantized to, see {@link CodesDigest}
     */
    record CastLinear(
            String name, double loss, double roundToNearest, double weightNorm, String digest, List<String> notes)
            implements Serializable {
        CastLinear {
            notes = List.copyOf(notes);
        }
    }
}
