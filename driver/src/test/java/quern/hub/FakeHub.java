package quern.hub;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;

/**
 * Two servers on loopback that answer as the Hub and its content network do, on the routes that are used: a list of
 * files at a revision, small files by themselves, large ones by a redirect to the other host with the checksum in
 * {@code X-Linked-Etag}.
 */
final class FakeHub implements AutoCloseable {
    static final String COMMIT = "0123456789abcdef0123456789abcdef01234567";

    final Map<String, byte[]> files = new TreeMap<>();
    /** Method and address of each request, and whether it came with a token. */
    final List<String> requests = new CopyOnWriteArrayList<>();
    /** How many of the next large bodies break off, and after how many bytes. */
    final AtomicInteger cuts = new AtomicInteger();

    int cutAfter = 1000;
    boolean stallsInstead;
    boolean corrupts;
    boolean ignoresRanges;
    String tokenNeeded = "";
    int failing;

    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final HttpServer hub = serve("hub");
    private final HttpServer cdn = serve("cdn");

    private HttpServer serve(String name) {
        try {
            HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
            server.setExecutor(threads);
            server.createContext("/", exchange -> {
                try (exchange) {
                    requests.add(name + " " + exchange.getRequestMethod() + " " + exchange.getRequestURI()
                            + (exchange.getRequestHeaders().containsKey("Authorization") ? " with token" : ""));
                    if (name.equals("hub")) {
                        asHub(exchange);
                    } else {
                        asNetwork(exchange);
                    }
                } catch (RuntimeException e) {
                    e.printStackTrace();
                }
            });
            server.start();
            return server;
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    String endpoint() {
        return "http://127.0.0.1:" + hub.getAddress().getPort();
    }

    private String network() {
        return "http://localhost:" + cdn.getAddress().getPort();
    }

    private static boolean isLarge(String file) {
        return file.endsWith(".safetensors") || file.endsWith(".parquet");
    }

    private void asHub(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath();
        String raw = exchange.getRequestURI().getRawPath();
        var headers = exchange.getResponseHeaders();
        if (failing > 0) {
            failing--;
            exchange.sendResponseHeaders(503, -1);
        } else if (!tokenNeeded.isEmpty()
                && !("Bearer " + tokenNeeded)
                        .equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
            exchange.sendResponseHeaders(401, -1);
        } else if (path.contains("gated")) {
            headers.add("X-Error-Code", "GatedRepo");
            exchange.sendResponseHeaders(403, -1);
        } else if (path.contains("missing")) {
            headers.add("X-Error-Code", "RepoNotFound");
            exchange.sendResponseHeaders(404, -1);
        } else if (path.contains("no-such-revision")) {
            headers.add("X-Error-Code", "RevisionNotFound");
            exchange.sendResponseHeaders(404, -1);
        } else if (path.contains("/old-name/")) {
            headers.add("Location", raw.replace("old-name", "me/model"));
            exchange.sendResponseHeaders(307, -1);
        } else if (raw.matches("/api/(models|datasets)/me/model/revision/(main|refs%2Fpr%2F1|" + COMMIT + ")")) {
            String siblings = files.keySet().stream()
                    .map(f -> "{\"rfilename\": \"" + f + "\"}")
                    .collect(Collectors.joining(", "));
            byte[] json = ("{\"id\": \"me/model\", \"sha\": \"" + COMMIT + "\", \"siblings\": [" + siblings + "]}")
                    .getBytes(UTF_8);
            exchange.sendResponseHeaders(200, json.length);
            exchange.getResponseBody().write(json);
        } else {
            String file = path.replaceFirst("^(/datasets)?/me/model/resolve/" + COMMIT + "/", "");
            byte[] bytes = files.get(file);
            if (bytes == null) {
                headers.add("X-Error-Code", "EntryNotFound");
                exchange.sendResponseHeaders(404, -1);
                return;
            }
            headers.add("X-Repo-Commit", COMMIT);
            if (isLarge(file)) {
                headers.add("X-Linked-Etag", "\"" + sha256(bytes) + "\"");
                headers.add("X-Linked-Size", Integer.toString(bytes.length));
                headers.add("ETag", "\"of-the-pointer\"");
                headers.add("Location", network() + "/blobs/" + file + "?signature=x");
                exchange.sendResponseHeaders(302, -1);
            } else {
                headers.add("ETag", "W/\"" + gitBlob(bytes) + "\"");
                body(exchange, bytes);
            }
        }
    }

    private void asNetwork(HttpExchange exchange) throws IOException {
        byte[] bytes = files.get(exchange.getRequestURI().getPath().replaceFirst("^/blobs/", ""))
                .clone();
        if (corrupts) {
            bytes[bytes.length / 2] ^= 1;
        }
        body(exchange, bytes);
    }

    private void body(HttpExchange exchange, byte[] all) throws IOException {
        String range = exchange.getRequestHeaders().getFirst("Range");
        int from = range == null || ignoresRanges ? 0 : Integer.parseInt(range.replaceAll("\\D", ""));
        byte[] bytes = Arrays.copyOfRange(all, from, all.length);
        if (exchange.getRequestMethod().equals("HEAD")) {
            exchange.getResponseHeaders().add("Content-Length", Integer.toString(bytes.length));
            exchange.sendResponseHeaders(200, -1);
            return;
        }
        if (from > 0) {
            exchange.getResponseHeaders()
                    .add("Content-Range", "bytes " + from + "-" + (all.length - 1) + "/" + all.length);
        }
        exchange.sendResponseHeaders(from > 0 ? 206 : 200, bytes.length == 0 ? -1 : bytes.length);
        OutputStream out = exchange.getResponseBody();
        if (bytes.length > cutAfter && cuts.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
            out.write(bytes, 0, cutAfter);
            out.flush();
            if (stallsInstead) {
                try {
                    Thread.sleep(30_000);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
            throw new IOException("cut");
        }
        out.write(bytes);
    }

    static String sha256(byte[] bytes) {
        return hex("SHA-256", bytes);
    }

    /** As {@code git hash-object} says it. */
    static String gitBlob(byte[] bytes) {
        byte[] head = ("blob " + bytes.length + "\0").getBytes(UTF_8);
        byte[] all = Arrays.copyOf(head, head.length + bytes.length);
        System.arraycopy(bytes, 0, all, head.length, bytes.length);
        return hex("SHA-1", all);
    }

    private static String hex(String algorithm, byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(bytes));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        hub.stop(0);
        cdn.stop(0);
        threads.shutdownNow();
    }
}
