package quern.run.workbench;

import java.io.IOException;
import java.io.Serializable;
import quern.store.BlobStore;

/** Opens the stores that a plan names, in whatever process it is sent to. */
@FunctionalInterface
public interface StoreOpener extends Serializable {
    BlobStore open(String location) throws IOException;
}
