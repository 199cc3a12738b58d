/**
 * Files, without saying whose: {@link quern.store.BlobStore}, the safetensors container, checkpoints of one or many shards.
 *
 * <p><b>The container.</b> Eight bytes: the length {@code L} of the header, little-endian. {@code L} bytes: a JSON object in
 * UTF-8 that begins with <code>{</code> and may end with spaces. Then the data. A member of the header is a tensor,
 * {@code "name": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}, with offsets counted from the first byte of
 * the data, row-major and little-endian; or {@code "__metadata__"}, strings by strings. A shape may be empty (a scalar) or
 * have zeros.
 *
 * <p><b>What is checked on reading.</b> {@code L} is at most 100,000,000 and within the file; the JSON is well-formed, not
 * deep, and says nothing twice; each dtype is known; offsets are within the data and agree with shape and dtype; tensors
 * cover the data without a gap or an overlap, to the last byte. 4- and 6-bit types, {@code F8_E8M0} and complex numbers are
 * refused as unknown. Nothing is allocated by a length that the file has not been seen to have.
 *
 * <p><b>Checkpoints.</b> {@code model.safetensors} alone is used where it exists, as transformers does; otherwise
 * {@code model.safetensors.index.json}, whose {@code weight_map} names a file for each tensor. Index and shards must agree
 * in both directions, and a tensor is in one file only.
 */
@NullMarked
package quern.store;

import org.jspecify.annotations.NullMarked;
