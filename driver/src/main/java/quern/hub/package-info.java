/**
 * Models and data sets of the Hugging Face Hub, fetched into the same cache that the Python libraries use, so that what
 * either has fetched is there for both.
 *
 * <p>Layout below {@code $HF_HUB_CACHE} (else {@code $HF_HOME/hub}, else {@code ~/.cache/huggingface/hub}):
 * {@code models--owner--name/blobs/ETAG} holds contents, {@code snapshots/COMMIT/FILE} links to them, {@code refs/REVISION}
 * holds the commit that a branch or tag stood for. A blob is verified before it gets its name: a 64-digit ETag is the
 * SHA-256 of a large file, a 40-digit one the id of a git blob. Unfinished ones are {@code ETAG.incomplete} and go on
 * where they stopped. Here a ref is written last, so that offline work never meets half a model.
 *
 * <p>The token goes to the Hub's own host and to no other; the files themselves usually come from elsewhere.
 */
@NullMarked
package quern.hub;

import org.jspecify.annotations.NullMarked;
