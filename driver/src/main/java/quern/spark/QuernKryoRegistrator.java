package quern.spark;

import com.esotericsoftware.kryo.Kryo;
import org.apache.spark.serializer.KryoRegistrator;
import quern.run.pass.Hessians;

/** Every class of ours that crosses the wire as data. Manifests travel as bytes, plans inside closures. */
public final class QuernKryoRegistrator implements KryoRegistrator {
    @Override
    public void registerClasses(Kryo kryo) {
        kryo.register(Hessians.Tile.class);
    }
}
