package quern.app;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import quern.QuernException;
import quern.cli.ModelRequest;
import quern.demo.Demo;
import quern.hub.Hub;
import quern.plan.ByteCount;
import quern.progress.Progress;

/** Finds what a user names: the demo, a folder anywhere, or a model on the Hub. */
final class Sources {
    private final Map<String, String> environment;
    private final Progress progress;

    Sources(Map<String, String> environment, Progress progress) {
        this.environment = environment;
        this.progress = progress;
    }

    /** The same for who reads no tensor: of a model on the Hub only the headers of its files are fetched. */
    String headers(ModelRequest request) throws IOException {
        return locate(
                request,
                (name, revision) -> new Hub(environment)
                        .headers(name, revision, cache().resolve("headers").resolve(name.replace("/", "--")))
                        .toString());
    }

    /** The location of a model, fetched first where it must be. */
    String locate(ModelRequest request) throws IOException {
        return locate(request, this::fetch);
    }

    @FunctionalInterface
    private interface Fetch {
        String run(String name, String revision) throws IOException;
    }

    private String locate(ModelRequest request, Fetch fetch) throws IOException {
        String name = request.name();
        if (name.equals(Demo.NAME)) {
            return Demo.unpackTo(cache()).toString();
        }
        if (name.matches("[A-Za-z][A-Za-z0-9+.-]+:.*")) {
            return name;
        }
        Path folder = Path.of(name).toAbsolutePath().normalize();
        if (Files.isDirectory(folder)) {
            return folder.toString();
        }
        if (Files.exists(folder) && name.endsWith(".gguf")) {
            return folder.toString();
        }
        if (Files.exists(folder)) {
            throw new QuernException(
                    "Cannot open the model %s: it is a file and not GGUF (name the folder that holds config.json)"
                            .formatted(name));
        }
        if (!Hub.isId(name)) {
            throw new QuernException(
                    "Cannot find the model %s: there is no such folder, and it is no name on the Hub (give a folder, a URI or owner/name)"
                            .formatted(name));
        }
        return fetch.run(name, request.revision() == null ? "main" : request.revision());
    }

    private String fetch(String name, String revision) throws IOException {
        long[] said = {0};
        return new Hub(environment)
                .model(name, revision, (done, total) -> {
                    synchronized (said) {
                        if (total > 0 && done * 10 / total > said[0]) {
                            said[0] = done * 10 / total;
                            progress.say("fetching %s: %s of %s"
                                    .formatted(name, ByteCount.text(done), ByteCount.text(total)));
                        }
                    }
                })
                .toString();
    }

    private Path cache() {
        String home = environment.getOrDefault("XDG_CACHE_HOME", System.getProperty("user.home") + "/.cache");
        return Path.of(home, "quern");
    }
}
