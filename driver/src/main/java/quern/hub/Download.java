package quern.hub;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import quern.QuernException;

/** One file of a repository at a commit, as the Hub describes it. */
record Download(Repository repository, String file, String etag, long size) {
    private static final Pattern ETAG = Pattern.compile("(?:W/)?\"?([\\w.-]{1,128})\"?");
    private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d+)-.*");

    static Download describe(HubClient client, Repository repository, String file) throws IOException {
        HttpHeaders headers = client.head(repository, file).headers();
        String etag = headers.firstValue("X-Linked-Etag")
                .or(() -> headers.firstValue("ETag"))
                .orElse("");
        Matcher matcher = ETAG.matcher(etag);
        long size = headers.firstValueAsLong("X-Linked-Size")
                .orElse(headers.firstValueAsLong("Content-Length").orElse(-1));
        if (!matcher.matches() || size < 0) {
            throw new QuernException("Cannot fetch " + file + " of " + repository
                    + ": the Hub gives no ETag and size for it (check HF_ENDPOINT, it may be no Hub)");
        }
        return new Download(repository, file, matcher.group(1), size);
    }

    /**
     * Brings the file into the cache unless it is there. {@code arrived} is told of bytes as they come, and of those taken
     * back, as negative numbers, when the other side starts over.
     */
    void into(HubCache cache, HubClient client, Duration patience, LongConsumer arrived) throws IOException {
        try (HubCache.Held lock = cache.lock(etag)) {
            if (Files.exists(cache.blob(etag))) {
                arrived.accept(size);
            } else {
                Path incomplete = cache.incomplete(etag);
                fetch(incomplete, client, patience, arrived);
                verify(incomplete);
                Files.move(incomplete, cache.blob(etag), StandardCopyOption.ATOMIC_MOVE);
            }
        }
        cache.link(repository.revision(), file, etag);
    }

    private void fetch(Path incomplete, HubClient client, Duration patience, LongConsumer arrived) throws IOException {
        if (Files.exists(incomplete) && Files.size(incomplete) > size) {
            Files.delete(incomplete);
        }
        if (!Files.exists(incomplete)) {
            Files.createFile(incomplete);
        }
        arrived.accept(Files.size(incomplete));
        // An attempt that brought something is a success of its own: only attempts in vain are counted.
        while (Files.size(incomplete) < size) {
            client.patiently(repository, () -> {
                long before = Files.size(incomplete);
                try {
                    fetchOnce(incomplete, client, patience, arrived);
                } catch (IOException e) {
                    if (Files.size(incomplete) <= before) {
                        throw e;
                    }
                }
                if (Files.size(incomplete) <= before) {
                    throw new IOException("nothing more of " + file + " arrives");
                }
                return before;
            });
        }
    }

    private void fetchOnce(Path incomplete, HubClient client, Duration patience, LongConsumer arrived)
            throws IOException {
        long have = Files.size(incomplete);
        HttpResponse<InputStream> answer = client.get(repository, file, have);
        try (InputStream body = answer.body()) {
            if (answer.statusCode() == 416) {
                throw new IOException("it has fewer bytes of " + file + " than it says");
            }
            boolean goesOn = answer.statusCode() == 206;
            if (goesOn) {
                Matcher range = CONTENT_RANGE.matcher(
                        answer.headers().firstValue("Content-Range").orElse(""));
                if (!range.matches() || !range.group(1).equals(Long.toString(have))) {
                    throw new IOException("it sends another range of " + file + " than it was asked for");
                }
            } else {
                arrived.accept(-have);
            }
            try (OutputStream out = Files.newOutputStream(
                            incomplete, goesOn ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING);
                    Stall stall = new Stall(body, patience)) {
                long room = size - (goesOn ? have : 0);
                byte[] chunk = new byte[1 << 16];
                for (int n = body.read(chunk); n >= 0; n = body.read(chunk)) {
                    if (n > room) {
                        throw tooLong();
                    }
                    stall.moved();
                    out.write(chunk, 0, n);
                    arrived.accept(n);
                    room -= n;
                }
            }
        }
    }

    private QuernException tooLong() {
        return new QuernException("Cannot fetch " + file + " of " + repository + ": more arrives than the " + size
                + " bytes that the Hub announced (try again, or ask who runs the proxy)");
    }

    private void verify(Path incomplete) throws IOException {
        String found = HubCache.digest(incomplete, etag).orElse(etag);
        if (!found.equals(etag)) {
            Files.delete(incomplete);
            throw new QuernException("Cannot fetch " + file + " of " + repository + ": what arrived has the checksum "
                    + found + " instead of " + etag + " (try again; it was thrown away)");
        }
    }

    /** Closes a body that brings nothing for too long: the JDK's client waits for ever. */
    private static final class Stall implements AutoCloseable {
        private final AtomicLong last = new AtomicLong(System.nanoTime());
        private final ScheduledExecutorService watch = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "hub-stall");
            thread.setDaemon(true);
            return thread;
        });

        Stall(InputStream body, Duration patience) {
            long every = Math.max(1, patience.toMillis() / 4);
            var unused = watch.scheduleAtFixedRate(
                    () -> {
                        if (System.nanoTime() - last.get() > patience.toNanos()) {
                            try {
                                body.close();
                            } catch (IOException e) {
                                // then the reader sees it too
                            }
                        }
                    },
                    every,
                    every,
                    TimeUnit.MILLISECONDS);
        }

        void moved() {
            last.set(System.nanoTime());
        }

        @Override
        public void close() {
            watch.shutdownNow();
        }
    }
}
