package quern.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.stream.Collectors;
import quern.plan.Plan;

/** The way of parts through a pass, as the tiles of the sums of their Hessians: a layer is computed when its first tile is asked for. */
public final class PassTiles implements Iterator<PassTiles.PartTile>, AutoCloseable {
    private final PartsPass pass;
    private final int part;
    private final Deque<PartsPass.OfSite> complete = new ArrayDeque<>();
    private final Deque<PartTile> ready = new ArrayDeque<>(); // of one site
    private boolean finished;

    private PassTiles(PartsPass pass, int part) {
        this.pass = pass;
        this.part = part;
    }

    public static PassTiles open(Workbench bench, Pass pass, Parts parts, Stopwatch watch) {
        return new PassTiles(new PartsPass(bench, pass, parts, watch), parts.first());
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
            return siteKey(layer, site) << 36 | row << 26 | col << 16 | part;
        }
    }

    /** Identifies a site among all layers. */
    public static long siteKey(int layer, int site) {
        return (long) layer << 14 | site;
    }

    public static long siteKey(Plan.SitePlan site) {
        return siteKey(site.layer(), site.index());
    }

    /** Sites by their keys. */
    public static Map<Long, Plan.SitePlan> byKey(List<Plan.SitePlan> sites) {
        return sites.stream().collect(Collectors.toMap(PassTiles::siteKey, site -> site));
    }

    /** The number of the first part in a tile, from its key. */
    public static int part(long tileKey) {
        return (int) (tileKey & 0xffff);
    }

    /** The site of a tile's key. */
    public static long siteKey(long tileKey) {
        return tileKey >>> 36;
    }

    @Override
    public boolean hasNext() {
        while (ready.isEmpty() && (!complete.isEmpty() || pass.hasNext())) {
            if (complete.isEmpty()) {
                complete.addAll(pass.next());
            } else {
                cut(complete.remove());
            }
        }
        if (ready.isEmpty() && !finished) {
            finished = true;
            try {
                pass.finish();
                pass.close();
            } catch (IOException e) {
                throw new UncheckedIOException("Cannot store activations: " + e.getMessage(), e);
            }
        }
        return !ready.isEmpty();
    }

    private void cut(PartsPass.OfSite site) {
        try (GrowingStatistics sum = site.statistics()) {
            for (Hessians.Tile tile : Hessians.tiles(sum.onHost())) {
                ready.add(new PartTile(site.layer(), site.site(), part, tile));
            }
        }
    }

    @Override
    public PartTile next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return ready.remove();
    }

    @Override
    public void close() {
        complete.forEach(site -> site.statistics().close());
        complete.clear();
        pass.close();
    }
}
