package quern.source;

import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** A way in which weights are stored in few bits. Stateless. */
interface Storage {
    /** What of a model is stored so; null if its {@code quantization_config} is of another kind. Reads headers only. */
    @Nullable
    Packed read(StoredModel model) throws IOException;
}
