package quern.app;

import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import quern.hadoop.Stores;
import quern.run.workbench.StoreOpener;
import quern.spark.QuernKryoRegistrator;

/** The Spark of one command, begun when first asked for, with the settings that Quern relies on. */
final class Session implements AutoCloseable {
    /** Spark holds it in milliseconds as an int, which ends with the 24th day. */
    private static final String LONG_SLEEP = "20d";

    private final SparkSession sql;
    private final StoreOpener stores;

    Session() {
        sql = SparkSession.builder().config(settled(new SparkConf())).getOrCreate();
        Broadcast<SerializableConfiguration> settings =
                context().broadcast(new SerializableConfiguration(context().hadoopConfiguration()));
        stores = location -> Stores.open(location, settings.value().value());
    }

    /** What was asked for, and what Quern needs beside. */
    static SparkConf settled(SparkConf conf) {
        conf.setIfMissing("spark.master", "local[*]")
                .setIfMissing("spark.app.name", "quern")
                .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .set("spark.kryo.registrationRequired", "true")
                .set("spark.kryo.registrator", QuernKryoRegistrator.class.getName())
                .set("spark.speculation", "false")
                .setIfMissing("spark.scheduler.mode", "FAIR")
                .setIfMissing("spark.driver.maxResultSize", "64m")
                .setIfMissing("spark.ui.showConsoleProgress", "false");
        String master = conf.get("spark.master");
        if (master.equals("local") || master.startsWith("local[")) {
            // In one process nobody else can be lost: a silence is a machine that slept, and the run goes on when it
            // wakes.
            conf.setIfMissing("spark.network.timeout", LONG_SLEEP);
        }
        return conf;
    }

    SparkSession sql() {
        return sql;
    }

    JavaSparkContext context() {
        return JavaSparkContext.fromSparkContext(sql.sparkContext());
    }

    /** Opens stores here and on executors, with Hadoop's settings of here. */
    StoreOpener stores() {
        return stores;
    }

    Sight sight() {
        return new Sight(context(), stores);
    }

    @Override
    public void close() {
        sql.stop();
    }
}
