package quern.run.workbench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.FutureTask;
import org.jspecify.annotations.Nullable;
import quern.model.DecoderLayer;
import quern.model.Model;
import quern.model.Weights;

/**
 * The layers that parts go through. On a device with memory of its own, reading and checking a layer's weights takes many times as long
 * as a part's way through it: there a layer stays for the next part as far as memory goes that the plan leaves, and while one is
 * at work the next is loaded by a thread beside. Else each is loaded when it is asked for.
 */
public final class Layers implements AutoCloseable {
    /** A layer as a pass runs it: of the model as it is or not, with the pieces that stand for its weights. */
    private record Key(int layer, boolean original, List<String> pieces) {
        static Key of(Pass pass, int layer) {
            return new Key(
                    layer,
                    pass.fits(),
                    pass.quantized().stream()
                            .filter(site -> site.layer() == layer)
                            .map(SiteManifest::file)
                            .toList());
        }
    }

    private static final class Entry {
        final Key key;
        final FutureTask<DecoderLayer> loading;
        int users; // guarded by the layers

        Entry(Key key, FutureTask<DecoderLayer> loading) {
            this.key = key;
            this.loading = loading;
        }
    }

    private final Workbench bench;
    /** Bytes of layers that may be kept. */
    private final long room;
    /** Guarded by this. */
    private final Map<Key, Entry> kept = new LinkedHashMap<>();

    private final @Nullable ExecutorService beside;

    Layers(Workbench bench) {
        this.bench = bench;
        long own = bench.device().ownMemory();
        room = own == 0 ? 0 : Math.max(0, own - bench.plan().cost().memoryBytes()) / 2;
        beside = room == 0
                ? null
                : Executors.newSingleThreadExecutor(work -> {
                    Thread thread = new Thread(work, "layers");
                    thread.setDaemon(true);
                    return thread;
                });
    }

    /** A layer in use, until it is closed. */
    public final class Lent implements AutoCloseable {
        private final DecoderLayer layer;
        private final Pass pass;
        private final @Nullable Entry entry;

        private Lent(DecoderLayer layer, Pass pass, @Nullable Entry entry) {
            this.layer = layer;
            this.pass = pass;
            this.entry = entry;
        }

        public DecoderLayer layer() {
            return layer;
        }

        @Override
        public void close() {
            if (entry == null) {
                layer.close();
            } else {
                giveBack(entry, pass);
            }
        }
    }

    /** Waits until the layer is there. */
    public Lent take(Pass pass, int layer) throws IOException {
        ExecutorService loader = beside;
        if (loader == null) {
            return new Lent(load(pass, layer), pass, null);
        }
        Entry entry;
        synchronized (this) {
            entry = begun(pass, layer, loader);
            entry.users++;
        }
        try {
            DecoderLayer loaded = entry.loading.get();
            if (layer + 1 < pass.to() && loaded.deviceBytes() <= room) {
                synchronized (this) {
                    begun(pass, layer + 1, loader);
                }
            }
            return new Lent(loaded, pass, entry);
        } catch (InterruptedException e) {
            giveBack(entry, pass);
            Thread.currentThread().interrupt();
            throw new IOException("The run was interrupted", e);
        } catch (ExecutionException e) {
            synchronized (this) {
                kept.remove(entry.key, entry);
            }
            throw SideBySide.rethrown(e.getCause());
        }
    }

    private Entry begun(Pass pass, int layer, ExecutorService loader) {
        return kept.computeIfAbsent(Key.of(pass, layer), key -> {
            FutureTask<DecoderLayer> loading = new FutureTask<>(() -> load(pass, layer));
            loader.execute(loading);
            return new Entry(key, loading);
        });
    }

    private DecoderLayer load(Pass pass, int layer) throws IOException {
        Model model = pass.fits() ? bench.original() : bench.model();
        return DecoderLayer.load(model, layer, weights(pass), bench.device());
    }

    /** Where the weights of linears come from, those of experts too. */
    public Weights weights(Pass pass) {
        Model model = pass.fits() ? bench.original() : bench.model();
        return new QuantizedWeights(bench, pass.quantized(), Weights.stored(model));
    }

    /**
     * Lets layers go while there is no room for what is loaded: those that the pass does not come to, then this one, which it comes to last
     * of all.
     */
    private synchronized void giveBack(Entry entry, Pass pass) {
        entry.users--;
        List<Entry> leaving = new ArrayList<>();
        for (Entry each : kept.values()) {
            if (each.key.layer() < pass.from() || each.key.layer() >= pass.to()) {
                leaving.add(each);
            }
        }
        leaving.add(entry);
        long bytes = kept.values().stream().mapToLong(Layers::bytes).sum();
        for (Entry each : leaving) {
            if (bytes > room && each.users == 0 && each.loading.isDone() && kept.remove(each.key, each)) {
                bytes -= bytes(each);
                closed(each);
            }
        }
    }

    /** Lets all go that nobody uses: the device has no memory for more. */
    public synchronized void letGo() {
        for (Entry each : List.copyOf(kept.values())) {
            if (each.users == 0 && each.loading.isDone() && kept.remove(each.key, each)) {
                closed(each);
            }
        }
    }

    private static long bytes(Entry entry) {
        DecoderLayer layer = loaded(entry);
        return layer == null ? 0 : layer.deviceBytes();
    }

    /** Null while it is being loaded, and where it could not be. */
    private static @Nullable DecoderLayer loaded(Entry entry) {
        try {
            return entry.loading.isDone() ? entry.loading.get() : null;
        } catch (ExecutionException e) {
            return null;
        } catch (InterruptedException e) {
            throw new IllegalStateException(e); // it is done
        }
    }

    private static void closed(Entry entry) {
        DecoderLayer layer = loaded(entry);
        if (layer != null) {
            layer.close();
        }
    }

    @Override
    public void close() {
        if (beside != null) {
            SideBySide.end(beside);
        }
        synchronized (this) {
            kept.values().forEach(Layers::closed);
            kept.clear();
        }
    }
}
