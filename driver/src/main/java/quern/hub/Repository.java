package quern.hub;

import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import quern.QuernException;

/** A repository of the Hub at a revision: a branch, a tag or a commit. */
record Repository(Kind kind, String id, String revision) {
    private static final Pattern ID = Pattern.compile("(\\w[\\w.-]{0,95}/)?\\w[\\w.-]{0,95}");
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    private static final Pattern REVISION = Pattern.compile("\\w[\\w.-]*(/\\w[\\w.-]*)*");

    /** What the Hub keeps, and how its addresses and the cache's folders call it. */
    enum Kind {
        MODEL("model", "models", ""),
        DATASET("data set", "datasets", "datasets/");

        final String word;
        final String plural;
        private final String page;

        Kind(String word, String plural, String page) {
            this.word = word;
            this.plural = plural;
            this.page = page;
        }
    }

    Repository {
        if (!isId(id)) {
            throw new QuernException("Cannot find the " + kind.word + " '" + id
                    + "': that is not a name of the Hub (give owner/name, or the path of a folder that exists)");
        }
        if (!REVISION.matcher(revision).matches() || revision.contains("..")) {
            throw new QuernException("Cannot find revision '" + revision + "' of " + id
                    + ": that is not a name of one (give a branch, a tag or a commit)");
        }
    }

    static boolean isId(String id) {
        return ID.matcher(id).matches() && !id.contains("..") && !id.contains("--");
    }

    boolean isCommit() {
        return COMMIT.matcher(revision).matches();
    }

    /** The same at the commit that the revision stands for. */
    Repository at(String commit) {
        return new Repository(kind, id, commit);
    }

    String folder() {
        return kind.plural + "--" + id.replace("/", "--");
    }

    /** For people. */
    String page(URI endpoint) {
        return endpoint + "/" + kind.page + id;
    }

    URI info(URI endpoint) {
        return URI.create(endpoint + "/api/" + kind.plural + "/" + id + "/revision/" + encoded(revision));
    }

    URI file(URI endpoint, String file) {
        String path = Arrays.stream(file.split("/")).map(Repository::encoded).collect(Collectors.joining("/"));
        return URI.create(page(endpoint) + "/resolve/" + encoded(revision) + "/" + path);
    }

    private static String encoded(String name) {
        return URLEncoder.encode(name, StandardCharsets.UTF_8).replace("+", "%20");
    }

    @Override
    public String toString() {
        return id + (revision.equals("main") ? "" : " at " + revision);
    }
}
