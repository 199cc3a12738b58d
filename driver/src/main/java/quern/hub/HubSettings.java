package quern.hub;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import quern.QuernException;

/**
 * What the environment says about the Hub, by the variables of the Python libraries.
 *
 * @param patience how long nothing may arrive before a connection counts as broken
 * @param pause before the first new attempt; doubled for each further one
 */
record HubSettings(
        URI endpoint, Path cache, @Nullable String token, boolean offline, Duration patience, Duration pause) {
    static HubSettings of(Map<String, String> environment) {
        Path home = path(
                environment,
                "HF_HOME",
                path(environment, "XDG_CACHE_HOME", Path.of(System.getProperty("user.home"), ".cache"))
                        .resolve("huggingface"));
        String endpoint = environment
                .getOrDefault("HF_ENDPOINT", "https://huggingface.co")
                .replaceAll("/+$", "");
        URI uri;
        try {
            uri = URI.create(endpoint);
        } catch (IllegalArgumentException e) {
            throw badEndpoint(endpoint);
        }
        if (uri.getHost() == null || !("https".equals(uri.getScheme()) || "http".equals(uri.getScheme()))) {
            throw badEndpoint(endpoint);
        }
        boolean offline = Set.of("1", "true", "yes", "on")
                .contains(environment.getOrDefault("HF_HUB_OFFLINE", "").toLowerCase(Locale.ROOT));
        return new HubSettings(
                uri,
                path(environment, "HF_HUB_CACHE", home.resolve("hub")),
                token(environment, home),
                offline,
                Duration.ofSeconds(60),
                Duration.ofSeconds(1));
    }

    private static QuernException badEndpoint(String endpoint) {
        return new QuernException("Cannot reach the Hub: HF_ENDPOINT is '" + endpoint
                + "', not a web address (unset it, or give https://host)");
    }

    private static Path path(Map<String, String> environment, String variable, Path otherwise) {
        String value = environment.getOrDefault(variable, "");
        if (value.startsWith("~/")) {
            return Path.of(System.getProperty("user.home"), value.substring(2));
        }
        return value.isEmpty() ? otherwise : Path.of(value);
    }

    private static @Nullable String token(Map<String, String> environment, Path home) {
        String token = environment.getOrDefault("HF_TOKEN", "").strip();
        if (!token.isEmpty()) {
            return token;
        }
        Path file = path(environment, "HF_TOKEN_PATH", home.resolve("token"));
        try {
            token = Files.exists(file) ? Files.readString(file).strip() : "";
        } catch (IOException e) {
            throw new QuernException(
                    "Cannot read the Hub's token in " + file + " (make it readable, or set HF_TOKEN)", e);
        }
        return token.isEmpty() ? null : token;
    }

    /** Not the token: settings end up in logs. */
    @Override
    public String toString() {
        return "HubSettings[" + endpoint + ", " + cache + (token == null ? ", no token" : ", with a token")
                + (offline ? ", offline]" : "]");
    }
}
