package quern.hub;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import quern.QuernException;
import quern.store.BlobPaths;
import quern.store.Checkpoint;
import quern.store.LocalStore;

/** Models and data sets by name: {@code owner/name} and a revision become a local folder. */
public final class Hub {
    /** Files side by side; one connection rarely fills a line. */
    private static final int CONNECTIONS = 4;

    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");
    /** Configuration, tokenizer, chat templates; no code, no other frameworks' weights, nothing in folders. */
    private static final Pattern SMALL =
            Pattern.compile("[^/]+\\.(json|txt|model|jinja|tiktoken)|additional_chat_templates/[^/]+\\.jinja");

    private final HubSettings settings;
    private final HubClient client;

    /** How far a fetch has come; called from several threads, {@code total} known from the first call on. */
    @FunctionalInterface
    public interface Progress {
        void bytes(long done, long total);
    }

    /** With the environment's variables: HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN, HF_HUB_OFFLINE. */
    public Hub(Map<String, String> environment) {
        this(HubSettings.of(environment));
    }

    Hub(HubSettings settings) {
        this.settings = settings;
        this.client = new HubClient(settings);
    }

    /** Whether this could be a name on the Hub; a folder of that name should be preferred. */
    public static boolean isId(String name) {
        return Repository.isId(name);
    }

    /**
     * The folder of a model: configuration, tokenizer and safetensors files. {@link QuernException} says why there is none.
     *
     * @param revision branch, tag or commit; {@code main} usually
     */
    public Path model(String id, String revision, Progress progress) throws IOException {
        Repository repository = new Repository(Repository.Kind.MODEL, id, revision);
        if (settings.offline()) {
            return cached(repository);
        }
        Listing listing = list(repository);
        Path folder = fetch(listing, listing.files(file -> SMALL.matcher(file).matches()), (done, total) -> {});
        List<String> weights = listing.files("model.safetensors"::equals);
        if (weights.isEmpty()
                && listing.files("model.safetensors.index.json"::equals).isEmpty()) {
            throw noSafetensors(listing);
        }
        if (weights.isEmpty()) {
            weights = Checkpoint.filesOf(new LocalStore(folder));
        }
        fetch(listing, weights, progress);
        remember(listing);
        return folder;
    }

    /**
     * A folder that looks like that of a model to who reads no tensor: configuration, and of the safetensors files their headers;
     * the rest of them is a hole of the right length. A model that is in the cache as a whole is given as it is there when offline.
     *
     * @param folder where it is made, below which stands the commit
     */
    public Path headers(String id, String revision, Path folder) throws IOException {
        Repository asked = new Repository(Repository.Kind.MODEL, id, revision);
        if (settings.offline()) {
            return cached(asked);
        }
        Listing listing = list(asked);
        Repository repository = listing.repository();
        Path small = fetch(listing, listing.files(SMALL.asMatchPredicate()), (done, total) -> {});
        Path made = Files.createDirectories(folder.resolve(repository.revision()));
        for (String name : List.of("config.json", "model.safetensors.index.json")) {
            if (Files.exists(small.resolve(name))) {
                Files.copy(small.resolve(name), made.resolve(name), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        List<String> weights = listing.files("model.safetensors"::equals);
        if (weights.isEmpty()
                && listing.files("model.safetensors.index.json"::equals).isEmpty()) {
            throw noSafetensors(listing);
        }
        sideBySide(weights.isEmpty() ? Checkpoint.filesOf(new LocalStore(made)) : weights, file -> {
            long size = client.patiently(repository, () -> Download.describe(client, repository, file))
                    .size();
            return client.patiently(
                    repository, () -> SparseHeader.fetch(client, repository, file, size, made.resolve(file)));
        });
        return made;
    }

    /** The folder of a data set with those of its files that are {@code wanted}; at least one must be. */
    public Path dataset(String id, String revision, Predicate<String> wanted, Progress progress) throws IOException {
        Repository repository = new Repository(Repository.Kind.DATASET, id, revision);
        if (settings.offline()) {
            return cached(repository);
        }
        Listing listing = list(repository);
        List<String> files = listing.files(wanted);
        if (files.isEmpty()) {
            throw new QuernException("Cannot use the data set " + repository + ": none of its "
                    + listing.files().size()
                    + " files is of the kind that is read here (name one with Parquet or JSON lines)");
        }
        Path folder = fetch(listing, files, progress);
        remember(listing);
        return folder;
    }

    /** The repository at its commit, the revision as asked for, and the files in it. */
    private record Listing(Repository repository, String revision, List<String> files) {
        List<String> files(Predicate<String> wanted) {
            return files.stream().filter(wanted).toList();
        }
    }

    private Listing list(Repository repository) {
        JsonNode info = client.patiently(repository, () -> client.info(repository));
        String commit = info.path("sha").asText();
        if (!COMMIT.matcher(commit).matches() || !info.path("siblings").isArray()) {
            throw new QuernException("Cannot fetch " + repository + ": " + settings.endpoint()
                    + " does not answer as the Hub does (check HF_ENDPOINT)");
        }
        List<String> files = new ArrayList<>();
        for (JsonNode sibling : info.path("siblings")) {
            String file = sibling.path("rfilename").asText();
            if (!BlobPaths.isSafe(file)) {
                throw new QuernException("Cannot fetch " + repository
                        + ": it has a file that would lie outside of its folder" + " (do not trust this repository)");
            }
            files.add(file);
        }
        return new Listing(repository.at(commit), repository.revision(), files);
    }

    private Path fetch(Listing listing, List<String> files, Progress progress) throws IOException {
        Repository repository = listing.repository();
        HubCache cache = new HubCache(settings.cache(), repository);
        List<Download> downloads = sideBySide(
                files, file -> client.patiently(repository, () -> Download.describe(client, repository, file)));
        long total = downloads.stream().mapToLong(Download::size).sum();
        AtomicLong done = new AtomicLong();
        LongConsumer arrived = n -> progress.bytes(done.addAndGet(n), total);
        progress.bytes(0, total);
        sideBySide(downloads, download -> {
            download.into(cache, client, settings.patience(), arrived);
            return download;
        });
        return cache.snapshot(repository.revision());
    }

    private void remember(Listing listing) throws IOException {
        Repository repository = listing.repository();
        if (!listing.revision().equals(repository.revision())) {
            new HubCache(settings.cache(), repository).remember(listing.revision(), repository.revision());
        }
    }

    private Path cached(Repository repository) throws IOException {
        HubCache cache = new HubCache(settings.cache(), repository);
        String commit = repository.isCommit()
                ? repository.revision()
                : cache.commit(repository.revision()).orElse("");
        if (!COMMIT.matcher(commit).matches() || !Files.isDirectory(cache.snapshot(commit))) {
            throw new QuernException("Cannot use the " + repository.kind().word + " " + repository
                    + ": HF_HUB_OFFLINE is set and it is not in " + settings.cache()
                    + " (unset HF_HUB_OFFLINE to fetch it, or give the path of a folder)");
        }
        return cache.snapshot(commit);
    }

    private static QuernException noSafetensors(Listing listing) {
        List<String> others = listing.files(file -> file.matches(".*\\.(bin|pth?|gguf|onnx|safetensors)"));
        return new QuernException(
                "Cannot use the model " + listing.repository().id() + ": it has neither model.safetensors nor its index"
                        + (others.isEmpty() ? "" : ", only " + others.get(0))
                        + " (name a model with safetensors, or convert it with save_pretrained in transformers)");
    }

    @FunctionalInterface
    private interface Step<A, B> {
        B apply(A input) throws IOException;
    }

    /** The results in the order of the inputs; the first failure ends it. */
    private static <A, B> List<B> sideBySide(List<A> inputs, Step<A, B> step) throws IOException {
        ExecutorService threads = Executors.newFixedThreadPool(CONNECTIONS);
        try {
            List<Future<B>> pending = new ArrayList<>();
            for (A input : inputs) {
                pending.add(threads.submit((Callable<B>) () -> step.apply(input)));
            }
            List<B> results = new ArrayList<>();
            for (Future<B> one : pending) {
                results.add(one.get());
            }
            return results;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException io) {
                throw io;
            }
            if (e.getCause() instanceof RuntimeException runtime) {
                throw runtime;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        } finally {
            threads.shutdownNow();
        }
    }
}
