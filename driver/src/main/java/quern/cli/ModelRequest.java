package quern.cli;

import org.jspecify.annotations.Nullable;

/**
 * A model to read.
 *
 * @param name {@code demo}, a folder or {@code .gguf} file of any file system that Hadoop knows, or a Hub id {@code owner/name}
 * @param revision a branch, tag or commit of the Hub; none for main
 */
public record ModelRequest(String name, @Nullable String revision) {}
