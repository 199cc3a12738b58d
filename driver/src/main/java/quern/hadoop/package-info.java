/**
 * Files wherever Hadoop finds them: {@code hdfs:}, {@code s3a:} and the others behind {@link quern.store.BlobStore}.
 *
 * <p>A file appears whole or not at all. Where a stream can be aborted, as on S3, the file is written in place and
 * appears when it is closed; nothing is ever renamed there. Everywhere else it is written beside its place and renamed.
 */
@NullMarked
package quern.hadoop;

import org.jspecify.annotations.NullMarked;
