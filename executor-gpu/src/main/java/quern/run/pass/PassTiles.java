package quern.run.pass;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import quern.device.DeviceOutOfMemory;
import quern.plan.Plan;
import quern.run.workbench.Pass;
import quern.run.workbench.Squeeze;
import quern.run.workbench.Stopwatch;
import quern.run.workbench.Workbench;

/**
 * The way of parts through a pass, as the tiles of the sums of their Hessians: a layer is computed when its first tile is asked for. Where
 * the device has no memory for all parts together they are taken in two halves, one after the other: what comes out has other tiles, and
 * the same sum.
 */
public final class PassTiles implements Iterator<PassTiles.PartTile>, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(PassTiles.class);

    private final Workbench bench;
    private final Pass pass;
    private final Stopwatch watch;
    private final Deque<Run> later = new ArrayDeque<>();
    private final Deque<PartsPass.OfSite> complete = new ArrayDeque<>();
    private final Deque<PartTile> ready = new ArrayDeque<>(); // of one site
    private Run run;
    private PartsPass layers; // of the run
    private boolean finished;

    /** @param sent keys of sites of which what these parts have to say is out already */
    private record Run(Parts parts, Set<Long> sent) {}

    private PassTiles(Workbench bench, Pass pass, Parts parts, Stopwatch watch) {
        this.bench = bench;
        this.pass = pass;
        this.watch = watch;
        run = new Run(parts, new HashSet<>());
        layers = new PartsPass(bench, pass, parts, watch);
    }

    public static PassTiles open(Workbench bench, Pass pass, Parts parts, Stopwatch watch) {
        return new PassTiles(bench, pass, parts, watch);
    }

    /**
     * A tile and where it belongs.
     *
     * @param part the number of the first that is in it
     */
    public record PartTile(int layer, int site, int part, Hessians.Tile tile) {
        /**
         * Sorts tiles by layer, site, place in the matrix and part, the order in which {@link Hessians.Sum} takes them.
         */
        public long key() {
            long row = tile.row / Hessians.TILE;
            long col = tile.col / Hessians.TILE;
            return Plan.SitePlan.key(layer, site) << 36 | row << 26 | col << 16 | part;
        }
    }

    /** The number of the first part in a tile, from its key. */
    public static int part(long tileKey) {
        return (int) (tileKey & 0xffff);
    }

    /** The key of a tile's site, from its key. */
    public static long site(long tileKey) {
        return tileKey >>> 36;
    }

    @Override
    public boolean hasNext() {
        while (ready.isEmpty() && !finished) {
            try {
                advance();
            } catch (DeviceOutOfMemory e) {
                halve(e);
            }
        }
        return !ready.isEmpty();
    }

    private void advance() {
        if (!complete.isEmpty()) {
            cut(complete.remove());
        } else if (layers.hasNext()) {
            complete.addAll(layers.next());
        } else {
            finish();
        }
    }

    private void cut(PartsPass.OfSite site) {
        try (GrowingStatistics sum = site.statistics()) {
            if (run.sent().contains(Plan.SitePlan.key(site.layer(), site.site()))) {
                return;
            }
            for (Hessians.Tile tile : Hessians.tiles(sum.onHost())) {
                ready.add(new PartTile(site.layer(), site.site(), run.parts().first(), tile));
            }
            run.sent().add(Plan.SitePlan.key(site.layer(), site.site()));
        }
    }

    private void finish() {
        try {
            layers.finish();
            layers.close();
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot store activations: " + e.getMessage(), e);
        }
        if (later.isEmpty()) {
            finished = true;
        } else {
            begin(later.remove());
        }
    }

    private void begin(Run next) {
        run = next;
        layers = new PartsPass(bench, pass, next.parts(), watch);
    }

    private void halve(DeviceOutOfMemory e) {
        letGo();
        int together = run.parts().parts().size();
        if (together == 1) {
            throw Parts.doesNotFit(e);
        }
        LOG.warn("{}; {} parts that were taken together are taken in two halves", e.getMessage(), together);
        watch.add(Squeeze.RUNS, 1);
        List<Parts> halves = run.parts().halves();
        Set<Long> sent = run.sent();
        later.push(new Run(halves.get(1), new HashSet<>(sent)));
        begin(new Run(halves.get(0), new HashSet<>(sent)));
    }

    @Override
    public PartTile next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return ready.remove();
    }

    private void letGo() {
        complete.forEach(site -> site.statistics().close());
        complete.clear();
        layers.close();
    }

    @Override
    public void close() {
        letGo();
    }
}
