package quern.hub;

import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.Objects;
import quern.QuernException;

/** The Hub's web interface. What the user can mend is a {@link QuernException}; an IOException may be tried again. */
final class HubClient {
    private static final int REDIRECTS = 10;
    private static final int ATTEMPTS = 5;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final HubSettings settings;
    private final HttpClient http;

    HubClient(HubSettings settings) {
        this.settings = settings;
        this.http = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER) // it would take the token along
                .connectTimeout(settings.patience())
                .build();
    }

    /** Something that may fail for a while. */
    @FunctionalInterface
    interface Attempt<T> {
        T run() throws IOException;
    }

    /** Tries again, a little later each time, as long as it fails with an IOException. */
    <T> T patiently(Repository repository, Attempt<T> attempt) {
        Duration pause = settings.pause();
        for (int i = 1; ; i++) {
            try {
                return attempt.run();
            } catch (IOException e) {
                if (i == ATTEMPTS || e instanceof InterruptedIOException) {
                    throw new QuernException(
                            "Cannot fetch " + repository + " from " + settings.endpoint() + ": "
                                    + (e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage())
                                    + " (try again, it goes on where it stopped, or set HF_HUB_OFFLINE=1 to use what is in "
                                    + settings.cache() + ")",
                            e);
                }
            }
            try {
                Thread.sleep(pause.toMillis());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new QuernException("Cannot fetch " + repository + ": interrupted (start it again)", e);
            }
            pause = pause.multipliedBy(2);
        }
    }

    JsonNode info(Repository repository) throws IOException {
        try (InputStream body = send(repository, "GET", repository.info(settings.endpoint()), 0, true)
                .body()) {
            return JSON.readTree(body.readNBytes(StreamReadConstraints.DEFAULT_MAX_STRING_LEN));
        }
    }

    /**
     * The headers that describe a file. Redirects to another host aren't followed: the Hub's own answer has the ETag and
     * the size of what lies there.
     */
    HttpResponse<InputStream> head(Repository repository, String file) throws IOException {
        HttpResponse<InputStream> answer =
                send(repository, "HEAD", repository.file(settings.endpoint(), file), 0, false);
        answer.body().close();
        return answer;
    }

    /** The bytes of a file from {@code from} on (206), or all of them (200); 416 when there are none. */
    HttpResponse<InputStream> get(Repository repository, String file, long from) throws IOException {
        return send(repository, "GET", repository.file(settings.endpoint(), file), from, true);
    }

    private HttpResponse<InputStream> send(
            Repository repository, String method, URI first, long from, boolean leaveHost) throws IOException {
        URI uri = first;
        for (int i = 0; i <= REDIRECTS; i++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(uri)
                    .method(method, HttpRequest.BodyPublishers.noBody())
                    .timeout(settings.patience())
                    .header("User-Agent", "quern")
                    .header("Accept-Encoding", "identity");
            if (from > 0) {
                request.header("Range", "bytes=" + from + "-");
            }
            if (settings.token() != null && isHub(uri)) {
                request.header("Authorization", "Bearer " + settings.token());
            }
            HttpResponse<InputStream> answer = exchange(request.build());
            int status = answer.statusCode();
            if (status >= 300
                    && status < 400
                    && answer.headers().firstValue("Location").isPresent()) {
                URI next;
                try {
                    next = uri.resolve(answer.headers().firstValue("Location").orElseThrow());
                } catch (IllegalArgumentException e) {
                    throw new IOException("it redirects to what is no address", e);
                }
                if (!leaveHost && !isHub(next)) {
                    return answer;
                }
                if (isHub(uri) && "https".equals(uri.getScheme()) && !"https".equals(next.getScheme())) {
                    throw new IOException("it redirects from https to " + next.getScheme());
                }
                answer.body().close();
                uri = next;
                continue;
            }
            if (status == 200 || status == 206 || status == 416 && from > 0) {
                return answer;
            }
            answer.body().close();
            throw refusal(repository, answer);
        }
        throw new IOException("it redirects in a circle");
    }

    private boolean isHub(URI uri) {
        URI hub = settings.endpoint();
        return Objects.equals(hub.getScheme(), uri.getScheme())
                && hub.getHost().equalsIgnoreCase(uri.getHost())
                && hub.getPort() == uri.getPort();
    }

    private HttpResponse<InputStream> exchange(HttpRequest request) throws IOException {
        try {
            return http.send(request, HttpResponse.BodyHandlers.ofInputStream());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (IOException) new InterruptedIOException("interrupted").initCause(e);
        }
    }

    /** A sentence for what will not change by itself; an IOException for what may. */
    private QuernException refusal(Repository repository, HttpResponse<?> answer) throws IOException {
        int status = answer.statusCode();
        String code = answer.headers().firstValue("X-Error-Code").orElse("");
        if (status == 429 || status >= 500) {
            throw new IOException("it answers " + status);
        }
        String cannot = "Cannot fetch the " + repository.kind().word + " " + repository + ": ";
        if (status == 403 || code.equals("GatedRepo")) {
            return new QuernException(cannot + "it is gated and this account has no access (accept its terms at "
                    + repository.page(settings.endpoint()) + " and set HF_TOKEN to a token that may read it)");
        }
        if (status == 401) {
            return new QuernException(
                    settings.token() == null
                            ? cannot
                                    + "it is private or does not exist, and there is no token (check the name, or set HF_TOKEN)"
                            : cannot
                                    + "it is private or does not exist, and the token does not open it (check the name and HF_TOKEN)");
        }
        if (status == 404 && code.equals("RevisionNotFound")) {
            return new QuernException(cannot + "there is no such revision (name a branch, a tag or a commit of "
                    + repository.page(settings.endpoint()) + ")");
        }
        if (status == 404) {
            return new QuernException(cannot + "it does not exist on " + settings.endpoint()
                    + " (check the name, or give the path of a folder that exists)");
        }
        return new QuernException(cannot + "the Hub answers " + status + (code.isEmpty() ? "" : " " + code) + " (check "
                + repository.page(settings.endpoint()) + " in a browser)");
    }
}
