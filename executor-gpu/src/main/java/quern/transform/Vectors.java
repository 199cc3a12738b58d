package quern.transform;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** What a fitted transform found for each site. Asked only when a tensor is read that depends on it. */
@FunctionalInterface
public interface Vectors {
    /**
     * A factor for each channel of a site's input; null for a site that is left as it is.
     *
     * @param site its place among those of its layer
     */
    float @Nullable [] of(int layer, int site) throws IOException;

    /** Where nothing is known yet: good for headers. */
    Vectors NONE = (layer, site) -> {
        throw new IllegalStateException("Nothing is fitted to site " + site + " of layer " + layer + " yet");
    };
}
