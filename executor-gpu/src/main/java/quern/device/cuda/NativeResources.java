package quern.device.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.jspecify.annotations.Nullable;

/** What module native put into the jar. */
final class NativeResources {
    private static final String KERNELS = "/quern/native/kernels.fatbin";

    private NativeResources() {}

    /** Why this build cannot compute on a GPU; null if it can. */
    static @Nullable String absence() {
        return NativeResources.class.getResource(KERNELS) == null
                ? "this build has no CUDA kernels, for no CUDA compiler was there when it was made"
                : null;
    }

    /** All kernels, compiled for several architectures. */
    static byte[] kernels() {
        try (InputStream image = NativeResources.class.getResourceAsStream(KERNELS)) {
            if (image == null) {
                throw new IllegalStateException("This build has no " + KERNELS);
            }
            return image.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
