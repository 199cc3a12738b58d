/**
 * What is done to a final file. {@link quern.run.shard.ShardTasks} stream it from pieces and the source; without calibration
 * {@link quern.run.shard.CastShard} makes it straight from the source, panel by panel, and {@link quern.run.shard.ConversionTasks} from another
 * quantized checkpoint. A file is written in slices or panels, so that memory does not grow with it, and a retry writes the same bytes.
 */
@NullMarked
package quern.run.shard;

import org.jspecify.annotations.NullMarked;
