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
    private final SparkSession sql;
    private final StoreOpener stores;

    Session() {
        SparkConf conf = new SparkConf()
                .setIfMissing("spark.master", "local[*]")
                .setIfMissing("spark.app.name", "quern")
                .set("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
                .set("spark.kryo.registrationRequired", "true")
                .set("spark.kryo.registrator", QuernKryoRegistrator.class.getName())
                .set("spark.speculation", "false")
                .setIfMissing("spark.scheduler.mode", "FAIR")
                .setIfMissing("spark.driver.maxResultSize", "64m")
                .setIfMissing("spark.ui.showConsoleProgress", "false");
        sql = SparkSession.builder().config(conf).getOrCreate();
        Broadcast<SerializableConfiguration> settings =
                context().broadcast(new SerializableConfiguration(context().hadoopConfiguration()));
        stores = location -> Stores.open(location, settings.value().value());
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
