package quern.run.shard;

import java.io.Serializable;
import java.util.List;
import quern.method.Method;

/**
 * What was written of one shard without calibration.
 *
 * @param shard the file
 * @param linears what became of each of its linears
 */
public record CastManifest(ShardTasks.ShardManifest shard, List<CastLinear> linears) implements Serializable {
    public CastManifest {
        linears = List.copyOf(linears);
    }

    /**
     * @param loss and the next two, see {@link Method.Losses}
     * @param digest of what it was quantized to, see {@link CodesDigest}
     */
    public record CastLinear(
            String name, double loss, double roundToNearest, double weightNorm, String digest, List<String> notes)
            implements Serializable {
        public CastLinear {
            notes = List.copyOf(notes);
        }
    }
}
