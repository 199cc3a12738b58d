/**
 * Files, without saying whose: {@link quern.store.BlobStore}, the safetensors container, checkpoints of one or many shards.
 */
@NullMarked
package quern.store;

import org.jspecify.annotations.NullMarked;
