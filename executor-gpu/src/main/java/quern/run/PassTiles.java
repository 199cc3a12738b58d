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

/** One part's way through a pass, as the tiles of its Hessians: a layer is computed when its first tile is asked for. */
public final class PassTiles implements Iterator<PassTiles.PartTile>, AutoCloseable {
    private final PartPass pass;
    private final int part;
    private final Deque<PartTile> ready = new ArrayDeque<>();
    private boolean finished;

    private PassTiles(PartPass pass, int part) {
        this.pass = pass;
        this.part = part;
    }

    public static PassTiles open(Workbench bench, Pass pass, Plan.Part part, Stopwatch watch) throws IOException {
        return new PassTiles(new PartPass(bench, pass, part, watch), part.index());
    }

    /** A tile and where it belongs. */
    public record PartTile(int layer, int site, int part, Hessians.Tile tile) {
        /**
         * Sorts tiles by layer, site, place in the matrix and part, so that a fold in this order is a fold in part order.
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

    /** The site of a tile's key. */
    public static long siteKey(long tileKey) {
        return tileKey >>> 36;
    }

    @Override
    public boolean hasNext() {
        while (ready.isEmpty() && pass.hasNext()) {
            for (PartPass.OfSite s : pass.next()) {
                for (Hessians.Tile tile : Hessians.tiles(s.statistics())) {
                    ready.add(new PartTile(s.layer(), s.site(), part, tile));
                }
            }
        }
        if (ready.isEmpty() && !finished) {
            finished = true;
            try {
                pass.finish();
            } catch (IOException e) {
                throw new UncheckedIOException("Cannot store activations: " + e.getMessage(), e);
            }
        }
        return !ready.isEmpty();
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
        pass.close();
    }
}
