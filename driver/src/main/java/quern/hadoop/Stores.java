package quern.hadoop;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import quern.QuernException;
import quern.source.Source;
import quern.store.BlobStore;
import quern.store.LocalStore;

/** Opens the store that a user names. */
public final class Stores {
    private static final Pattern SCHEME = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]+:.*");

    private Stores() {}

    /**
     * A path of this machine, without a scheme or with {@code file:}, or a URI of any file system that Hadoop knows. No
     * scheme means this machine even where Hadoop's default is another file system. Of a GGUF file, its folder as the files of its model.
     */
    public static BlobStore open(String location, Configuration settings) {
        if (location.endsWith(".gguf")) {
            return file(location, settings);
        }
        if (!SCHEME.matcher(location).matches()) {
            return new LocalStore(Path.of(location));
        }
        try {
            URI uri = new URI(location.replace(" ", "%20"));
            if ("file".equalsIgnoreCase(uri.getScheme())) {
                return new LocalStore(Path.of(uri.getPath()));
            }
            return new HadoopStore(uri, settings);
        } catch (URISyntaxException | IllegalArgumentException e) {
            throw cannot(
                    location,
                    "it is not a URI: " + e.getMessage(),
                    "give a local path, hdfs://host/path or s3a://bucket/path",
                    e);
        } catch (UnsupportedFileSystemException e) {
            throw cannot(
                    location,
                    String.valueOf(e.getMessage()),
                    "add the file system's jar to the class path, hadoop-aws for s3a",
                    e);
        } catch (IOException e) {
            throw cannot(location, String.valueOf(e.getMessage()), "check the address and the credentials", e);
        }
    }

    /** A model in one file. */
    private static BlobStore file(String location, Configuration settings) {
        int name = location.lastIndexOf('/') + 1;
        try {
            return Source.file(open(location.substring(0, Math.max(1, name - 1)), settings), location.substring(name));
        } catch (NoSuchFileException e) {
            throw cannot(location, "there is no such file", "check its name", e);
        } catch (IOException e) {
            throw cannot(location, String.valueOf(e.getMessage()), "check the address and the credentials", e);
        }
    }

    /** The same with settings that are not in a Configuration, each as Hadoop names it: {@code fs.s3a.endpoint}. */
    public static BlobStore open(String location, Map<String, String> settings) {
        Configuration configuration = new Configuration();
        settings.forEach(configuration::set);
        return open(location, configuration);
    }

    private static QuernException cannot(String location, String reason, String remedy, Exception cause) {
        return new QuernException("Cannot open " + location + ": " + reason + " (" + remedy + ")", cause);
    }
}
