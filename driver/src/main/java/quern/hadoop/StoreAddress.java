package quern.hadoop;

import java.io.Serializable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.util.SerializableConfiguration;
import quern.store.BlobStore;

/**
 * Where a store is and how to get there: what travels to executors, which open it themselves. Not a record, since Kryo
 * can't read records; broadcast it, for the settings of Hadoop take some 100 kB.
 */
public final class StoreAddress implements Serializable {
    private final String location;
    private final SerializableConfiguration settings;

    public StoreAddress(String location, Configuration settings) {
        this.location = location;
        this.settings = new SerializableConfiguration(settings);
    }

    public String location() {
        return location;
    }

    public BlobStore open() {
        return Stores.open(location, settings.value());
    }
}
